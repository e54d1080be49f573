"""Hardware described in YAML: arithmetic per operator, memories, supported operators and formats, costs."""

from workbench.hardware.profile import HardwareProfile, list_profiles, load_profile

__all__ = ["HardwareProfile", "list_profiles", "load_profile"]
