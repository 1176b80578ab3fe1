"""Who trains on which sequence in which forward pass. Pure Python, no tensors, deterministic."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from raysgpo.policy.layout import Layout, Size, cost_of, tokens_of

Indices = list[int]
Plan = list[list[Indices]]
"""Rank -> micro-batch -> indices of sequences."""

PASS_TOKENS = 32
"""What a micro-batch costs beside its tokens, in tokens: small ones do not fill the machine."""


def plan_micro_batches(
    sizes: Sequence[Size], world: int, tokens_per_micro_batch: int, layout: Layout, parity: int | None = None
) -> Plan:
    """Divide a step's sequences.

    Every index comes exactly once. Every rank gets the same number of micro-batches, at least 1; one with too few
    sequences gets empty ones. A micro-batch has at most ``tokens_per_micro_batch`` tokens, padding included; a
    sequence longer than that stands alone.

    The budget is of memory, which grows with the tokens; ranks are given equal work, of which attention is a part that
    grows with the square of a sequence (``parity``: see ``cost_of``). Padded and packed, their work differs by at most
    that of one sequence (the longest first, each to the least loaded rank). Shared, whole groups are handed out, unless
    the slowest rank has less to compute without that.
    """
    assert world >= 1, f"a step needs at least one rank, got {world}"
    assert tokens_per_micro_batch >= 1, f"the token budget must be positive, got {tokens_per_micro_batch}"
    planner = _Planner(sizes, world, tokens_per_micro_batch, layout, parity)
    if layout != "shared":
        return planner.by_sequence()
    # The packed plan, and not one that was cut and halved by what is shared: sharing can only make its passes smaller.
    packed = _Planner(sizes, world, tokens_per_micro_batch, "packed", parity).by_sequence()
    return min((planner.by_group(), [planner.largest_first(rank) for rank in packed]), key=planner.slowest)


class _Planner:
    def __init__(self, sizes: Sequence[Size], world: int, budget: int, layout: Layout, parity: int | None) -> None:
        self._sizes = sizes
        self._world = world
        self._budget = budget
        self._layout = layout
        self._parity = parity

    def by_sequence(self) -> Plan:
        """The longest first, whatever its group."""
        shared_out = self._share_out([[index] for index in range(len(self._sizes))])
        if self._layout == "padded":
            return self._stretched([self._cut_rows([index for [index] in mine]) for mine in shared_out])
        return self._stretched([self._first_fit(mine) for mine in shared_out])

    def by_group(self) -> Plan:
        """The sequences of a group stay on one rank, and side by side."""
        groups: dict[int, Indices] = {}
        for index in self._longest_first(range(len(self._sizes))):
            groups.setdefault(self._sizes[index].group, []).append(index)
        shared_out = self._share_out(list(groups.values()))
        return self._stretched(
            [self._first_fit([p for group in mine for p in self._parts(group)]) for mine in shared_out]
        )

    def slowest(self, plan: Plan) -> float:
        """What the rank with most to compute computes."""
        return max(sum(self._cost(cut) + PASS_TOKENS for cut in rank) for rank in plan)

    def largest_first(self, cuts: list[Indices]) -> list[Indices]:
        """So that ranks that meet in a collective bring about the same work to it."""
        return sorted(cuts, key=self._cost, reverse=True)

    def _tokens(self, indices: Indices) -> int:
        return tokens_of([self._sizes[index] for index in indices], self._layout)

    def _cost(self, indices: Indices) -> float:
        return cost_of([self._sizes[index] for index in indices], self._layout, self._parity)

    def _longest_first(self, indices: Sequence[int]) -> Indices:
        return sorted(indices, key=lambda index: (-self._sizes[index].length, index))

    def _share_out(self, units: Sequence[Indices]) -> list[list[Indices]]:
        """Each rank's units, the costliest first, each given to the least loaded rank."""
        weights = [self._cost(unit) for unit in units]
        ranks: list[list[Indices]] = [[] for _ in range(self._world)]
        loads = [(0.0, rank) for rank in range(self._world)]
        for at in sorted(range(len(units)), key=lambda at: (-weights[at], at)):
            load, rank = heapq.heappop(loads)
            ranks[rank].append(units[at])
            heapq.heappush(loads, (load + weights[at], rank))
        return ranks

    def _cut_rows(self, indices: Indices) -> list[Indices]:
        """Neighbours in length share rows of one width: the first, longest one's."""
        cuts: list[Indices] = []
        for index in indices:
            width = self._sizes[cuts[-1][0]].length if cuts else 0
            if cuts and (len(cuts[-1]) + 1) * width <= self._budget:
                cuts[-1].append(index)
            else:
                cuts.append([index])
        return cuts

    def _parts(self, group: Indices) -> list[Indices]:
        """A group, or parts of it that keep the budget, each with a prompt of its own."""
        parts, tokens = [[group[0]]], self._sizes[group[0]].length
        for index in group[1:]:
            own = self._sizes[index].length - self._sizes[index].prompt
            if tokens + own <= self._budget:
                parts[-1].append(index)
                tokens += own
            else:
                parts.append([index])
                tokens = self._sizes[index].length
        return parts

    def _first_fit(self, units: list[Indices]) -> list[Indices]:
        """Into as few passes as the largest first gives. What is shared is shared within a unit, or by chance."""
        cuts: list[Indices] = []
        room: list[int] = []
        tokens = [self._tokens(unit) for unit in units]
        for at in sorted(range(len(units)), key=lambda at: -tokens[at]):
            place = next((cut for cut, left in enumerate(room) if tokens[at] <= left), None)
            if place is None:
                cuts.append(list(units[at]))
                room.append(self._budget - tokens[at])
            else:
                cuts[place] += units[at]
                room[place] -= tokens[at]
        return cuts

    def _stretched(self, ranks: list[list[Indices]]) -> Plan:
        """The same number of micro-batches on every rank, at least 1."""
        count = max(1, *(len(rank) for rank in ranks))
        return [self._stretch(rank, count) for rank in ranks]

    def _stretch(self, cuts: list[Indices], count: int) -> list[Indices]:
        """Halve the largest micro-batches until there are ``count``; then the largest first on every rank.

        Halving costs little, an empty micro-batch costs a forward and backward pass over a filler.
        """
        cuts = list(cuts)
        while len(cuts) < count:
            divisible = [cut for cut in cuts if len(cut) > 1]
            if not divisible:
                cuts.extend([] for _ in range(count - len(cuts)))
                break
            largest = max(divisible, key=self._cost)
            cuts.remove(largest)
            middle = len(largest) // 2
            cuts += [largest[:middle], largest[middle:]]
        return self.largest_first(cuts)
