#include "tunnel/underlay/flow_fanout.h"

#include <cstdint>

#include "encap/outer_parse.h"
#include "encap/wire/gre.h"
#include "encap/wire/udp.h"
#include "tunnel/underlay/classic_bpf.h"

namespace tunnel {
namespace {

using encap::kEtherTypeIpv4;
using encap::kEtherTypeIpv6;
using encap::kEtherTypeTransparentEthernet;
using Gre = encap::GreHeader;
using Program = BpfProgram;

constexpr uint32_t kTcp = 6;
constexpr uint32_t kFragment = 44;
constexpr uint32_t kDestinationOptions = 60;
constexpr uint32_t kVlanTag = 0x8100;
constexpr uint32_t kIpv6Len = 40;          // bytes
constexpr uint32_t kAnyFragment = 0x3fff;  // MF and offset of IPv4
constexpr uint32_t kMixer = 0x9e3779b1;    // odd, from the golden ratio

// Scratch memory: what is in front of A as the programs go on.
constexpr uint32_t kHash = 0;   // so far
constexpr uint32_t kType = 1;   // IP protocol, then Ethernet type
constexpr uint32_t kFlags = 2;  // of GRE
constexpr uint32_t kSaved = 3;  // X

constexpr sock_filter Set(uint32_t value) {
  return BPF_STMT(BPF_LD | BPF_IMM, value);
}
constexpr sock_filter SetX(uint32_t value) {
  return BPF_STMT(BPF_LDX | BPF_IMM, value);
}
constexpr sock_filter Load(uint32_t cell) {
  return BPF_STMT(BPF_LD | BPF_MEM, cell);
}
constexpr sock_filter LoadX(uint32_t cell) {
  return BPF_STMT(BPF_LDX | BPF_MEM, cell);
}
constexpr sock_filter Store(uint32_t cell) { return BPF_STMT(BPF_ST, cell); }
constexpr sock_filter StoreX(uint32_t cell) { return BPF_STMT(BPF_STX, cell); }
// A = A `verb` value; A = A `verb` X.
constexpr sock_filter With(uint16_t verb, uint32_t value) {
  return {static_cast<uint16_t>(BPF_ALU | verb | BPF_K), 0, 0, value};
}
constexpr sock_filter WithX(uint16_t verb) {
  return {static_cast<uint16_t>(BPF_ALU | verb | BPF_X), 0, 0, 0};
}
constexpr sock_filter kMoveToX = BPF_STMT(BPF_MISC | BPF_TAX, 0);
constexpr sock_filter kMoveToA = BPF_STMT(BPF_MISC | BPF_TXA, 0);
constexpr sock_filter kReturnA = BPF_STMT(BPF_RET | BPF_A, 0);
constexpr sock_filter kReturnZero = BPF_STMT(BPF_RET | BPF_K, 0);

// `then` runs when A is `value`; with BPF_JSET, when A has one of its bits. A
// conditional jump reaches 255 instructions, this one any number.
void When(Program& program, uint16_t test, uint32_t value,
          const Program& then) {
  const auto size = static_cast<uint32_t>(then.size());
  Append(program, {{static_cast<uint16_t>(BPF_JMP | test | BPF_K), 1, 0, value},
                   BPF_STMT(BPF_JMP | BPF_JA, size)});
  program.insert(program.end(), then.begin(), then.end());
}
void WhenEqual(Program& program, uint32_t value, const Program& then) {
  When(program, BPF_JEQ, value, then);
}

// hash = (hash + word) * kMixer for `count` words that begin X bytes behind
// `at`. X is kept.
void MixWords(Program& program, uint32_t at, uint32_t count) {
  Append(program, {StoreX(kSaved)});
  for (uint32_t i = 0; i < count; ++i) {
    Append(program, {LoadWordBehind(at + 4 * i), LoadX(kHash), WithX(BPF_ADD),
                     With(BPF_MUL, kMixer), Store(kHash), LoadX(kSaved)});
  }
}

// A product is best in its high bits, the kernel looks at the low ones.
void ReturnHash(Program& program) {
  Append(program, {Load(kHash), With(BPF_RSH, 16), kMoveToX, Load(kHash),
                   WithX(BPF_XOR), kReturnA});
}

void SkipBytes(Program& program, uint32_t bytes) {  // X += bytes
  Append(program, {kMoveToA, With(BPF_ADD, bytes), kMoveToX});
}

// kType is the protocol, X where its header begins.
Program Transport() {
  Program ports;
  MixWords(ports, 0, 1);
  ReturnHash(ports);
  Program program = {Load(kType)};
  WhenEqual(program, kTcp, ports);
  WhenEqual(program, encap::kProtoUdp, ports);
  ReturnHash(program);
  return program;
}

void AppendTransport(Program& program) {
  const Program transport = Transport();
  program.insert(program.end(), transport.begin(), transport.end());
}

// The inner IPv4 packet at X.
Program InnerV4() {
  Program program;
  MixWords(program, 12, 2);
  Program fragment;
  ReturnHash(fragment);
  Append(program, {LoadHalfBehind(6)});
  When(program, BPF_JSET, kAnyFragment, fragment);
  Append(program,
         {LoadByteBehind(9), Store(kType), LoadByteBehind(0),
          With(BPF_AND, 0x0f), With(BPF_LSH, 2), WithX(BPF_ADD), kMoveToX});
  AppendTransport(program);
  return program;
}

Program InnerV6() {
  Program program;
  MixWords(program, 8, 8);
  Append(program, {LoadByteBehind(6), Store(kType)});
  SkipBytes(program, kIpv6Len);
  AppendTransport(program);
  return program;
}

// X: from the GRE header to what is behind it, whose Ethernet type kType gets.
Program SkipGre() {
  Program program = {LoadHalfBehind(Gre::kFlagsVersion), Store(kFlags)};
  When(program, BPF_JSET, Gre::kMustBeZero | Gre::kVersionMask, {kReturnZero});
  Append(program, {LoadHalfBehind(Gre::kProtocol), Store(kType)});
  SkipBytes(program, Gre::kMinLen);
  Program field;
  SkipBytes(field, 4);
  for (const uint32_t flag :
       {Gre::kChecksumPresent, Gre::kKeyPresent, Gre::kSequencePresent}) {
    Append(program, {Load(kFlags)});
    When(program, BPF_JSET, flag, field);
  }
  return program;
}

// The same for an Ethernet frame with at most one VLAN tag.
Program SkipEthernet() {
  Program program;
  MixWords(program, 0, 3);
  Program tagged = {LoadHalfBehind(16), Store(kType)};
  SkipBytes(tagged, 4);
  Append(program, {LoadHalfBehind(12), Store(kType)});
  WhenEqual(program, kVlanTag, tagged);
  SkipBytes(program, 14);
  return program;
}

// A is the protocol behind the outer IP header, X where that begins; kHash is
// 0. `addresses` mixes the outer addresses.
void AppendFlow(Program& program, const Program& addresses) {
  Append(program, {Store(kType)});
  Program udp = addresses;
  AppendTransport(udp);
  WhenEqual(program, encap::kProtoUdp, udp);
  WhenEqual(program, encap::kProtoIpip, {Set(kEtherTypeIpv4), Store(kType)});
  WhenEqual(program, encap::kProtoIpv6, {Set(kEtherTypeIpv6), Store(kType)});
  WhenEqual(program, encap::kProtoGre, SkipGre());
  Append(program, {Load(kType)});
  WhenEqual(program, kEtherTypeTransparentEthernet, SkipEthernet());
  Append(program, {Load(kType)});
  WhenEqual(program, kEtherTypeIpv4, InnerV4());
  WhenEqual(program, kEtherTypeIpv6, InnerV6());
  ReturnHash(program);
}

// Mixes what stands at fixed places of the outer header; keeps X.
Program MixOuter(uint32_t at, uint32_t count) {
  Program program = {StoreX(kFlags), SetX(0)};
  MixWords(program, at, count);
  Append(program, {LoadX(kFlags)});
  return program;
}

}  // namespace

std::vector<sock_filter> FlowFanoutV4() {
  Program program = {
      Set(0), Store(kHash),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  // X: header length
      LoadByte(9),                             // protocol
  };
  AppendFlow(program, MixOuter(12, 2));
  return program;
}

std::vector<sock_filter> FlowFanoutV6() {
  Program program = {
      Set(0), Store(kHash), SetX(kIpv6Len),
      LoadByte(6),  // next header
  };
  Program fragment = MixOuter(8, 4);
  MixWords(fragment, 4, 1);  // identification
  ReturnHash(fragment);
  WhenEqual(program, kFragment, fragment);
  WhenEqual(program, kDestinationOptions,
            {LoadByteBehind(0), Store(kType), LoadByteBehind(1),
             With(BPF_ADD, 6), With(BPF_LSH, 3), kMoveToX, Load(kType)});
  AppendFlow(program, MixOuter(8, 8));
  return program;
}

}  // namespace tunnel
