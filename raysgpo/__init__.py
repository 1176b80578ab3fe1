"""Post-training of reasoning models on Ray that learns from their mistakes.

Each folder is a station of a batch, on one layer; imports point down only (``tests/test_layers.py`` proves it):

- L0, no Ray, vLLM, torch or transformers: ``config``, ``tasks``, ``judging``, ``algorithms``, ``guidance``,
  ``groups``, ``output``, ``command``, ``studies``.
- L1, torch and transformers: ``policy``, ``tiny``, ``start``.
- L2, Ray and vLLM: ``weights``, ``serving``, ``conductor``, ``training``, ``session``, ``run``.

``offline`` has files of each. docs/one-batch.md reads them in order.
"""

__version__ = "0.1.0"
