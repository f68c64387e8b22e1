"""Which modules are meant: names, patterns, and the word for what guests usually load."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from tinyvmi_build.kernel.ko import plain_name

#: Stands for all of `_COMMON` in a list of patterns.
COMMON = "@common"

#: What a guest under Xen or KVM usually loads; what these need comes by itself.
_COMMON = """
    ext4 xfs btrfs vfat nls_ascii nls_cp437 nls_iso8859_1 nls_utf8 fuse overlay isofs squashfs autofs4
    configfs efivarfs binfmt_misc 9p 9pnet_virtio 9pnet_xen loop dm_mod dm_crypt dm_multipath
    dm_snapshot md_mod raid0 raid1 raid10 raid456 raid6_pq xen_netfront xen_blkfront xen_fbfront
    xen_kbdfront xen_pcifront xen_scsifront xen_tpmfront xen_wdt xen_privcmd xen_gntdev xen_gntalloc
    xen_evtchn xenfs virtio virtio_ring virtio_pci virtio_pci_legacy_dev virtio_pci_modern_dev
    virtio_mmio virtio_net virtio_blk virtio_scsi virtio_console virtio_balloon virtio_rng virtiofs
    virtio_gpu net_failover vsock vmw_vsock_virtio_transport crc32_pclmul crc32c_generic crc32c_intel
    crct10dif_* libcrc32c aesni_intel ghash_clmulni_intel sha1_ssse3 sha256_ssse3 sha512_ssse3 af_alg
    algif_hash algif_skcipher nf_* nft_* nfnetlink nfnetlink_log nfnetlink_queue ip_tables ip6_tables
    iptable_* ip6table_* ip_set ip_set_hash_ip ip_set_hash_net xt_addrtype xt_CHECKSUM xt_comment
    xt_connmark xt_conntrack xt_limit xt_LOG xt_mark xt_MASQUERADE xt_multiport xt_nat xt_NFLOG
    xt_REDIRECT xt_recent xt_set xt_state xt_statistic xt_TCPMSS xt_tcpudp bridge br_netfilter 8021q
    bonding dummy macvlan tap tun veth vxlan wireguard sch_fq sch_fq_codel sch_htb sch_ingress tcp_bbr
    sd_mod sr_mod sg cdrom ata_piix ata_generic ahci nvme e1000 ac button battery evdev joydev pcspkr
    psmouse serio_raw i2c_piix4 hid_generic usbhid ehci_pci uhci_hcd xhci_pci qemu_fw_cfg vmgenid
    watchdog softdog intel_rapl_* rapl rng_core drm bochs cirrus ttm
"""


def wanted(available: Iterable[str], include: Iterable[str]) -> list[str]:
    """The names that a pattern of `include` matches, sorted; dashes and underscores are the same."""
    patterns: list[str] = []
    for pattern in include:
        patterns += _COMMON.split() if pattern == COMMON else [plain_name(pattern)]
    exact = set(patterns)
    globs = [pattern for pattern in patterns if any(c in pattern for c in "*?[")]
    return sorted(n for n in available if n in exact or any(fnmatchcase(n, glob) for glob in globs))
