"""Who trains on which sequence in which forward pass. Pure Python, no tensors, deterministic."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from raysgpo.policy.layout import Layout, Size, cost_of, shared_length, tokens_of

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
    # The padded plan, and not one that was cut and halved by what is shared: sharing can only make its passes smaller.
    padded = _Planner(sizes, world, tokens_per_micro_batch, "padded", parity).by_sequence()
    return min((planner.by_group(), [planner.largest_first(rank) for rank in padded]), key=planner.slowest)


def prompts_apart(plan: Plan, sizes: Sequence[Size], layout: Layout) -> bool | None:
    """What ``Share.prompts_apart`` says: whether any pass of any rank saves anything by it."""
    if layout != "shared" or len(plan) == 1:
        return None
    return any(shared_length([sizes[index] for index in cut]) > 0 for rank in plan for cut in rank if cut)


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
        cut = self._cut_packed if self._layout == "packed" else self._cut_rows
        return self._stretched([cut([index for [index] in mine]) for mine in shared_out])

    def by_group(self) -> Plan:
        """The sequences of a group stay on one rank, and side by side."""
        groups: dict[int, Indices] = {}
        for index in self._longest_first(range(len(self._sizes))):
            groups.setdefault(self._sizes[index].group, []).append(index)
        return self._stretched([self._cut_groups(mine) for mine in self._share_out(list(groups.values()))])

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

    def _cut_rows(self, indices: Indices, shared: int = 0) -> list[Indices]:
        """Neighbours in length share rows of one width: the first, longest one's. ``shared``: tokens that all have."""
        cuts: list[Indices] = []
        for index in indices:
            width = self._sizes[cuts[-1][0]].length - shared if cuts else 0
            if cuts and shared + (len(cuts[-1]) + 1) * width <= self._budget:
                cuts[-1].append(index)
            else:
                cuts.append([index])
        return cuts

    def _cut_groups(self, groups: list[Indices]) -> list[Indices]:
        """Neighbours in the length of the prompt share passes, where that is not more to compute than one each."""
        cuts: list[Indices] = []
        for group in sorted(groups, key=lambda group: -self._sizes[group[0]].prompt):
            for part in self._cut_rows(group, shared_length([self._sizes[index] for index in group])):
                joined = [*cuts[-1], *part] if cuts else part
                apart = self._cost(cuts[-1]) + PASS_TOKENS + self._cost(part) if cuts else 0
                if self._cost(joined) <= apart and self._tokens(joined) <= self._budget:
                    cuts[-1] = joined
                else:
                    cuts.append(part)
        return cuts

    def _cut_packed(self, indices: Indices) -> list[Indices]:
        """First fit, longest first."""
        cuts: list[Indices] = []
        room: list[int] = []
        for index in indices:
            length = self._sizes[index].length
            place = next((at for at, left in enumerate(room) if length <= left), None)
            if place is None:
                cuts.append([index])
                room.append(self._budget - length)
            else:
                cuts[place].append(index)
                room[place] -= length
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
