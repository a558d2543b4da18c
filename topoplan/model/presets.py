"""Dimensions of well-known models, each with its source."""

from __future__ import annotations

from topoplan.model.job import ModelShape, Routing

# MLA of DeepSeek-V3 (config.json): q down 7168 x 1536, q up 1536 x 128 x 192, kv down 7168 x (512 + 64),
# kv up 512 x 128 x 256, output 128 x 128 x 7168.
_DEEPSEEK_ATTENTION = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168

PRESETS: dict[str, ModelShape] = {
    shape.name: shape
    for shape in (
        ModelShape(
            "llama-3.1-405b", 126, 16384, 128, 8, 128, 53248, 128256,
            source="The Llama 3 Herd of Models, arXiv 2407.21783, table 3",
        ),
        ModelShape(
            "gpt-3-175b", 96, 12288, 96, 96, 128, 49152, 50257, gated=False, tied_embedding=True,
            source="Language Models are Few-Shot Learners, arXiv 2005.14165, table 2.1",
        ),
        ModelShape(
            "mixtral-8x22b", 56, 6144, 48, 8, 128, 16384, 32768, expert_ffn=16384,
            routing=Routing(experts=8, top_k=2),
            source="mistralai/Mixtral-8x22B-v0.1, config.json",
        ),
        ModelShape(
            "qwen3-235b-a22b", 94, 4096, 64, 4, 128, 12288, 151936, expert_ffn=1536,
            routing=Routing(experts=128, top_k=8),
            source="Qwen/Qwen3-235B-A22B, config.json",
        ),
        ModelShape(
            "deepseek-v3", 61, 7168, 128, 128, 128, 18432, 129280, attention_parameters=float(_DEEPSEEK_ATTENTION),
            kv_elements=512 + 64, dense_layers=3, expert_ffn=2048, shared_experts=1,  # latent, rotary key
            # FP8 with one 4-byte scale per 128 elements out, BF16 back: report section 3.3.3
            routing=Routing(256, 8, 8, 4, dispatch_bytes=1 + 4 / 128, combine_bytes=2.0),
            source="DeepSeek-V3 Technical Report, arXiv 2412.19437, section 4.2; config.json",
        ),
    )
}  # fmt: skip
