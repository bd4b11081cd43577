#include "tests/bench/packet_io/xdp_socket.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "tests/bench/packet_io/probe.h"

namespace bench {
namespace {

constexpr uint32_t kSlots = XdpSocket::kFrames;  // of each ring
constexpr size_t kFramesLen = size_t{XdpSocket::kFrames} * XdpSocket::kFrameLen;

unsigned IndexOf(const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) Die(device.c_str());
  return index;
}

tunnel::UniqueFd Checked(int fd, const char* what) {
  if (fd < 0) Die(what);
  return tunnel::UniqueFd(fd);
}

void SetRing(int fd, int name, uint32_t slots, const char* what) {
  if (setsockopt(fd, SOL_XDP, name, &slots, sizeof(slots)) != 0) Die(what);
}

// The kernel is the partner of each of these two.
uint32_t Acquire(uint32_t& index) {
  return std::atomic_ref(index).load(std::memory_order_acquire);
}

void Release(uint32_t& index, uint32_t value) {
  std::atomic_ref(index).store(value, std::memory_order_release);
}

constexpr bpf_insn Instruction(int code, int to, int from, int offset,
                               int value) {
  bpf_insn made{};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = static_cast<uint8_t>(to) & 0xf;
  made.src_reg = static_cast<uint8_t>(from) & 0xf;
  made.off = static_cast<int16_t>(offset);
  made.imm = value;
  return made;
}

constexpr bpf_insn Load(int size, int to, int from, int offset) {
  return Instruction(BPF_LDX | BPF_MEM | size, to, from, offset, 0);
}

constexpr bpf_insn Set(int to, int value) {
  return Instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}

}  // namespace

template <typename Slot>
void XdpRing<Slot>::Map(int fd, off_t page_offset,
                        const xdp_ring_offset& offset, uint32_t slots) {
  map_len_ = offset.desc + slots * sizeof(Slot);
  map_ = mmap(nullptr, map_len_, PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_POPULATE, fd, page_offset);
  if (map_ == MAP_FAILED) Die("mmap of an AF_XDP ring");
  auto* base = static_cast<uint8_t*>(map_);
  producer_ = reinterpret_cast<uint32_t*>(base + offset.producer);
  consumer_ = reinterpret_cast<uint32_t*>(base + offset.consumer);
  slots_ = reinterpret_cast<Slot*>(base + offset.desc);
  mask_ = slots - 1;
}

template <typename Slot>
XdpRing<Slot>::~XdpRing() {
  if (map_ != nullptr) munmap(map_, map_len_);
}

template <typename Slot>
uint32_t XdpRing<Slot>::Free() const noexcept {
  return mask_ + 1 - (*producer_ - Acquire(*consumer_));
}

template <typename Slot>
uint32_t XdpRing<Slot>::Ready() const noexcept {
  return Acquire(*producer_) - *consumer_;
}

template <typename Slot>
void XdpRing<Slot>::Produced(uint32_t n) noexcept {
  Release(*producer_, *producer_ + n);
}

template <typename Slot>
void XdpRing<Slot>::Consumed(uint32_t n) noexcept {
  Release(*consumer_, *consumer_ + n);
}

template class XdpRing<uint64_t>;
template class XdpRing<xdp_desc>;

XdpSocket::XdpSocket(const std::string& device, Use use)
    : fd_(Checked(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), "AF_XDP")) {
  RegisterFrames();
  MapRings(use);
  if (use == Use::kReceive) {
    for (uint32_t i = 0; i < kFrames; ++i) {
      fill.ToFill(i) = uint64_t{i} * kFrameLen;
    }
    fill.Produced(kFrames);
  }
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = IndexOf(device);
  // The kernel gives up the queue some time after a socket that had it is
  // closed.
  for (int tries = 0; bind(fd(), reinterpret_cast<const sockaddr*>(&address),
                           sizeof(address)) != 0;
       ++tries) {
    if (errno != EBUSY || tries == 500) Die("bind of the AF_XDP socket");
    usleep(10000);
  }
}

XdpSocket::~XdpSocket() { munmap(frames_, kFramesLen); }

void XdpSocket::RegisterFrames() {
  void* memory = mmap(nullptr, kFramesLen, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) Die("mmap of the AF_XDP frames");
  frames_ = static_cast<uint8_t*>(memory);
  xdp_umem_reg area{};
  area.addr = reinterpret_cast<uint64_t>(memory);
  area.len = kFramesLen;
  area.chunk_size = kFrameLen;
  if (setsockopt(fd(), SOL_XDP, XDP_UMEM_REG, &area, sizeof(area)) != 0) {
    Die("XDP_UMEM_REG");
  }
}

void XdpSocket::MapRings(Use use) {
  // The kernel wants the first two of each socket.
  SetRing(fd(), XDP_UMEM_FILL_RING, kSlots, "XDP_UMEM_FILL_RING");
  SetRing(fd(), XDP_UMEM_COMPLETION_RING, kSlots, "XDP_UMEM_COMPLETION_RING");
  const bool sends = use == Use::kSend;
  if (sends) {
    SetRing(fd(), XDP_TX_RING, kSlots, "XDP_TX_RING");
  } else {
    SetRing(fd(), XDP_RX_RING, kSlots, "XDP_RX_RING");
  }
  xdp_mmap_offsets at{};
  socklen_t len = sizeof(at);
  if (getsockopt(fd(), SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) != 0) {
    Die("XDP_MMAP_OFFSETS");
  }
  fill.Map(fd(), static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING), at.fr, kSlots);
  completion.Map(fd(), static_cast<off_t>(XDP_UMEM_PGOFF_COMPLETION_RING),
                 at.cr, kSlots);
  if (sends) {
    transmit.Map(fd(), XDP_PGOFF_TX_RING, at.tx, kSlots);
  } else {
    receive.Map(fd(), XDP_PGOFF_RX_RING, at.rx, kSlots);
  }
}

XdpRedirect::XdpRedirect(const std::string& device, Hook hook,
                         const XdpSocket& socket) {
  map_ =
      Checked(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "sockets", 4, 4, 1, nullptr),
              "BPF_MAP_TYPE_XSKMAP");
  const uint32_t queue = 0;
  const int value = socket.fd();
  if (bpf_map_update_elem(map_.get(), &queue, &value, BPF_ANY) != 0) {
    Die("socket into the XSKMAP");
  }
  constexpr int kJumpTo = BPF_JMP | BPF_K;
  const std::array program = {
      Load(BPF_W, 2, 1, offsetof(xdp_md, data)),
      Load(BPF_W, 3, 1, offsetof(xdp_md, data_end)),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
      Instruction(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, ETH_HLEN + 20),
      Instruction(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 10, 0),
      Load(BPF_H, 4, 2, offsetof(ethhdr, h_proto)),
      Instruction(kJumpTo | BPF_JNE, 4, 0, 8, htons(ETH_P_IP)),
      Load(BPF_B, 4, 2, ETH_HLEN + 9),  // IPv4 protocol
      Instruction(kJumpTo | BPF_JNE, 4, 0, 6, IPPROTO_GRE),
      // bpf_redirect_map(map, queue, what to do where there is no socket)
      Load(BPF_W, 2, 1, offsetof(xdp_md, rx_queue_index)),
      Instruction(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0,
                  map_.get()),
      Instruction(0, 0, 0, 0, 0),  // the other half of the map's reference
      Set(3, XDP_PASS),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      Set(0, XDP_PASS),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  program_ = Checked(bpf_prog_load(BPF_PROG_TYPE_XDP, "to_socket", "BSD",
                                   program.data(), program.size(), nullptr),
                     "XDP program");
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags =
      hook == Hook::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  link_ =
      Checked(bpf_link_create(program_.get(), static_cast<int>(IndexOf(device)),
                              BPF_XDP, &options),
              "XDP program on the device");
}

}  // namespace bench
