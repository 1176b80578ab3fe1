"""Post-training of reasoning models on Ray that learns from their mistakes.

Layers, imports pointing down only (``tests/test_layers.py`` proves it):

- L0, no Ray, vLLM, torch or transformers: ``config``, ``records``, ``seeds``, ``window``,
  ``reasoning``, ``tasks``, ``judging``, ``algorithms``, ``stages``, ``metrics``.
- L1, torch and transformers: ``policy``.
- L2, Ray and vLLM: ``weights``, ``serving``, ``conductor``, ``train_worker``, ``run``.
"""

__version__ = "0.1.0"
