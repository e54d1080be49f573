"""Runtimes: family and version of what ran a network, from the text of a row. The family decides which kernels ran."""

from __future__ import annotations

import re
from dataclasses import dataclass

FAMILIES = (
    (r"x-?cube-?ai|st ?edge ?ai|stedgeai|stm32cube\.?ai", "st-ai"),
    (r"plumerai", "plumerai"),
    (r"\bhale\b", "hale"),
    (r"tinyengine", "tinyengine"),
    (r"microtvm.*cmsis|tvm.*cmsis", "microtvm-cmsis-nn"),
    (r"micro-?tvm|\btvm\b", "microtvm"),
    (r"onnc", "onnc"),
    (r"esp-?dl.*multi", "esp-dl-multi-core"),
    (r"esp-?dl", "esp-dl"),
    (r"without esp-?nn|ansi c", "tflm"),
    (r"esp-?nn", "tflm-esp-nn"),
    (r"(tflm|tflite[ -]?micro|tensorflow lite micro).*(mvp|gecko)", "tflm-mvp"),
    (r"(tflm|tflite[ -]?micro).*andes", "tflm-andes-nn"),
    (r"(tflm|tflite[ -]?micro).*(cmsis|helium)", "tflm-cmsis-nn"),
    (r"cmsis-?nn.*\bq7\b", "cmsis-nn-q7"),
    (r"cmsis-?nn", "tflm-cmsis-nn"),
    (r"(tflm|tflite[ -]?micro).*vendor", "tflm-vendor"),
    (r"\btflm\b|tflite[ -]?micro|tensorflow lite (for )?micro", "tflm"),
    (r"edge ?tpu", "edge-tpu"),
    (r"tflite|litert|tensorflow lite|xnnpack", "tflite"),
    (r"gap ?flow|nntool", "gapflow"),
    (r"syntiant", "syntiant-sdk"),
    (r"vela|ethos", "vela"),
    (r"tensorrt|\btrt\b", "tensorrt"),
    (r"ncnn", "ncnn"),
    (r"rknn", "rknn"),
    (r"hailo", "hailort"),
    (r"openvx", "openvx"),
    (r"qnn|qualcomm ai", "qnn"),
    (r"onnx ?runtime|\bonnx\b|\bort\b", "onnxruntime"),
    (r"openvino", "openvino"),
)
"""Text -> family. X-CUBE-AI and ST Edge AI are one code generator under two names (its versions count on from 10 as 2.0 to 4.0)."""

REBASED = {("st-ai", "edge"): 9}
"""ST Edge AI Core 1.0 came with X-CUBE-AI 9.0, 2.0 with 10.0: the same numbers from zero again (release notes of STEdgeAI Core)."""


@dataclass(frozen=True)
class Runtime:
    """A runtime. version: numbers, most significant first, () where the text has none."""

    family: str
    version: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.family, ".".join(map(str, self.version))]).strip()


def runtime(text: str) -> Runtime:
    """Return the runtime named in a text. An unknown one is a family of its own, under its first words."""
    low = str(text or "").strip().lower()
    family = next((name for pattern, name in FAMILIES if re.search(pattern, low)), "") or _slug(low)
    version = _version(low)
    if version and family == "st-ai" and "edge" in low and version[0] < REBASED["st-ai", "edge"]:
        version = (version[0] + REBASED["st-ai", "edge"] - 1, *version[1:])
    return Runtime(family, version)


def _version(text: str) -> tuple[int, ...]:
    """Return the first dotted number or year of a text that is no hash and no part of a name."""
    text = re.sub(r"\w+=\S+", "", text)  # `threads=4` is an option
    found = re.search(r"(?<![\w@.-])v?(\d{1,4}(?:[.-]\d{1,4})+|20\d\d|\d{1,2}(?=$|[\s)]))", text)
    return tuple(int(p) for p in re.split(r"[.-]", found[1])) if found else ()


def _slug(text: str) -> str:
    words = re.findall(r"[a-z]+[a-z0-9]*", re.sub(r"[@(].*", "", text))
    return "-".join(words[:3]) or "unknown"
