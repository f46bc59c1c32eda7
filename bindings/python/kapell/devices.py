"""Devices and memories as onnxruntime describes them: here the CPU and the host's memory, and devices of other providers that are available."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import _core
from .enums import OrtAllocatorType, OrtDeviceMemoryType, OrtHardwareDeviceType, OrtMemoryInfoDeviceType, OrtMemType
from .session import CPU


class OrtMemoryInfo:
    """A memory: of which device, and how it is allocated."""

    def __init__(self, name: str, allocator_type: int, device_id: int, mem_type: int) -> None:
        self.name, self.allocator_type, self.device_id, self.mem_type = name, OrtAllocatorType(allocator_type), int(device_id), OrtMemType(mem_type)
        self.device_mem_type, self.device_vendor_id = OrtDeviceMemoryType.DEFAULT, 0
        self._device_type = OrtMemoryInfoDeviceType.CPU if name.lower() in ("cpu", "cpu_aligned") else OrtMemoryInfoDeviceType.GPU

    @classmethod
    def create_v2(cls, name: str, device_type: OrtMemoryInfoDeviceType, vendor_id: int, device_id: int, mem_type: OrtDeviceMemoryType,
                  alignment: int = 0, allocator_type: OrtAllocatorType = OrtAllocatorType.ORT_DEVICE_ALLOCATOR) -> OrtMemoryInfo:
        """With the device's kind and vendor."""
        info = cls(name, allocator_type, device_id, OrtMemType.DEFAULT)
        info._device_type, info.device_vendor_id, info.device_mem_type = device_type, int(vendor_id), mem_type
        return info

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrtMemoryInfo) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.name, self.device_id))

    def __repr__(self) -> str:
        return f"OrtMemoryInfo({self.name!r}, {self.allocator_type.name}, {self.device_id}, {self.mem_type.name})"


class OrtArenaCfg:
    """Settings of an arena; Kapell plans memory itself and keeps none of them."""

    def __init__(self, *sizes: Any, **settings: int) -> None:
        names = ("max_mem", "arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk")
        given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], dict) else dict(zip(names, sizes))
        for name in (*names, "initial_growth_chunk_size_bytes", "max_power_of_two_extend_bytes"):
            setattr(self, name, {**given, **settings}.get(name, -1))


class OrtHardwareDevice:
    """A device of this machine."""

    def __init__(self, type: OrtHardwareDeviceType, vendor: str, vendor_id: int, device_id: int, metadata: dict[str, str]) -> None:
        self.type, self.vendor, self.vendor_id, self.device_id, self.metadata = type, vendor, vendor_id, device_id, metadata

    def __repr__(self) -> str:
        return f"OrtHardwareDevice({self.type.name}, {self.vendor!r})"


class OrtSyncStream:
    """A stream of a device; no provider of this build gives any."""

    def __init__(self, *_: Any) -> None:
        raise _core.NotImplemented("no provider of this build gives streams")


class OrtEpDevice:
    """A device together with a provider that can use it."""

    def __init__(self, ep_name: str, ep_vendor: str, device: OrtHardwareDevice, ep_metadata: dict[str, str] | None = None,
                 ep_options: dict[str, str] | None = None) -> None:
        self.ep_name, self.ep_vendor, self.device = ep_name, ep_vendor, device
        self.ep_metadata, self.ep_options = ep_metadata or {}, ep_options or {}
        self.number: int | None = None  # among those of a provider that comes from a library

    def memory_info(self, memory_type: OrtDeviceMemoryType = OrtDeviceMemoryType.DEFAULT) -> OrtMemoryInfo | None:
        """The device's memory."""
        return cpu_memory_info() if self.device.type == OrtHardwareDeviceType.CPU else None

    def create_sync_stream(self) -> OrtSyncStream:
        """No provider of this build gives streams."""
        return OrtSyncStream()

    def __repr__(self) -> str:
        return f"OrtEpDevice({self.ep_name!r}, {self.device!r})"


class OrtEpAssignedNode:
    """A node of the model that a provider got."""

    def __init__(self, name: str, domain: str, op_type: str) -> None:
        self.name, self.domain, self.op_type = name, domain, op_type


class OrtEpAssignedSubgraph:
    """A connected set of nodes that a provider runs as one."""

    def __init__(self, ep_name: str, nodes: list[OrtEpAssignedNode]) -> None:
        self.ep_name, self._nodes = ep_name, nodes

    def get_nodes(self) -> list[OrtEpAssignedNode]:
        """Its nodes."""
        return self._nodes


def assignment_of(placement: dict[str, Any]) -> list[OrtEpAssignedSubgraph]:
    """Subgraphs of the placement's nodes that are run."""
    parts: dict[tuple[str, Any], list[OrtEpAssignedNode]] = {}
    for node in placement["nodes"]:
        if node.get("provider"):
            parts.setdefault((node["provider"], node.get("partition")), []).append(
                OrtEpAssignedNode(node["name"], node.get("domain", ""), node["op"]))
    return [OrtEpAssignedSubgraph(provider, nodes) for (provider, _), nodes in parts.items()]


def _cpu_name() -> tuple[str, str]:
    """The processor's maker and name, as the system has them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            facts = dict(line.partition(":")[::2] for line in file.read().partition("\n\n")[0].splitlines())
    except OSError:
        return "", ""
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    return facts.get("vendor_id", ""), facts.get("model name", "")


_VENDORS = {"GenuineIntel": 0x8086, "AuthenticAMD": 0x1022}


def cpu_device() -> OrtEpDevice:
    """The CPU with the provider that is always there."""
    vendor, name = _cpu_name()
    device = OrtHardwareDevice(OrtHardwareDeviceType.CPU, vendor, _VENDORS.get(vendor, 0), 0, {"Description": name} if name else {})
    return OrtEpDevice(CPU, "Kapell", device, {"version": _core.version()})


def cpu_memory_info() -> OrtMemoryInfo:
    """The host's memory."""
    return OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_DEVICE_ALLOCATOR, 0, OrtMemType.DEFAULT)


# What a provider of a library offers, as the list of providers tells it: "0: CPU of AuthenticAMD (vendor 0x1022)".
_OFFER = re.compile(r"(\d+): (CPU|GPU|NPU) of (.*?) \(vendor 0x([0-9a-f]+)\)")


def _devices_of(provider: dict[str, Any]) -> Iterator[OrtEpDevice]:
    for number, kind, vendor, vendor_id in _OFFER.findall(provider["devices"] or ""):
        hardware = OrtHardwareDevice(OrtHardwareDeviceType[kind], vendor, int(vendor_id, 16), 0, {})
        device = OrtEpDevice(provider["name"], "", hardware, {"version": provider["version"] or ""})
        device.number = int(number)
        yield device


def get_ep_devices() -> list[OrtEpDevice]:
    """The CPU, then the devices of each provider that comes from a registered library."""
    devices = [cpu_device()]
    for provider in _core.providers():
        if provider["available"] and not provider["built_in"]:
            devices += _devices_of(provider)
    return devices


def create_and_register_allocator(mem_info: OrtMemoryInfo, arena_cfg: OrtArenaCfg | None = None) -> None:
    """Nothing to register: Kapell plans memory itself."""
    if not isinstance(mem_info, OrtMemoryInfo):
        raise TypeError(f"an OrtMemoryInfo is needed, not {mem_info!r}")


def create_and_register_allocator_v2(provider_type: str, mem_info: OrtMemoryInfo, options: dict[str, str],
                                     arena_cfg: OrtArenaCfg | None = None) -> None:
    """The same."""
    create_and_register_allocator(mem_info, arena_cfg)
