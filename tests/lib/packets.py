"""Packets made by hand, to send what no correct sender would send."""

import ipaddress
import socket
import struct


def checksum(data):
    """Internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, protocol, payload, tos=0, ttl=64, flags=0, length=None):
    """`flags` is the 16-bit flags and fragment offset field."""
    total = 20 + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", 0x45, tos, total, 1, flags, ttl, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, next_header, payload, traffic_class=0, hop_limit=64):
    return struct.pack("!IHBB16s16s", 6 << 28 | traffic_class << 20, len(payload),
                       next_header, hop_limit,
                       socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, target)) + payload


def udp(source, target, source_port, target_port, payload):
    """With a correct checksum for these IP addresses."""
    pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    length = 8 + len(payload)
    head = struct.pack("!HHHH", source_port, target_port, length, 0)
    value = checksum(pseudo + struct.pack("!II", length, 17) + head + payload)
    return head[:6] + struct.pack("!H", value or 0xFFFF) + payload


def gre(protocol, payload, key=None, sequence=None, with_checksum=False,
        wrong_checksum=False, flags=0):
    """`flags` is or-ed into the first 16 bits (version, routing, reserved)."""
    flags |= ((0x8000 if with_checksum or wrong_checksum else 0) |
              (0x2000 if key is not None else 0) |
              (0x1000 if sequence is not None else 0))
    options = b""
    if key is not None:
        options += struct.pack("!I", key)
    if sequence is not None:
        options += struct.pack("!I", sequence)
    head = struct.pack("!HH", flags, protocol)
    if not with_checksum and not wrong_checksum:
        return head + options + payload
    value = checksum(head + b"\0\0\0\0" + options + payload)
    if wrong_checksum:
        value ^= 0x0101
    return head + struct.pack("!HH", value, 0) + options + payload


class RawSender:
    """Sends whole IP packets from a namespace."""

    def __init__(self, space):
        self._space = space
        with space.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                         socket.IPPROTO_RAW)
            self._socket6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW,
                                          socket.IPPROTO_RAW)

    def send(self, packet):
        if packet[0] >> 4 == 4:
            self._socket.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
        else:
            target = socket.inet_ntop(socket.AF_INET6, packet[24:40])
            self._socket6.sendto(packet, (target, 0))

    def send_as_is(self, packet, interface, target_mac):
        """Past the kernel's IP output, which would mend the header checksum."""
        with self._space.entered():
            with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as link:
                ethertype = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
                link.sendto(packet, (interface, ethertype, 0, 0,
                                     bytes.fromhex(target_mac.replace(":", ""))))

    def close(self):
        self._socket.close()
        self._socket6.close()
