// FastPathTest: a TUN device "t0" over a veth pair "u0", "u1" in a namespace of
// the test. Packets written to t0 as a program of the host sends them come out
// at u1; frames put into u1 come out at t0.

#ifndef TUNNEL_BPF_FAST_PATH_FOR_TEST_H_
#define TUNNEL_BPF_FAST_PATH_FOR_TEST_H_

#include <memory>
#include <string>
#include <vector>

#include "encap/encap_config.h"
#include "encap/packets_for_test.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/bpf/linux_fast_path.h"
#include "tunnel/netlink/netns_for_test.h"
#include "tunnel/tun/linux_tun.h"

namespace tunnel {

using encap::testing::Bytes;

class FastPathTest : public NetnsTest {
 protected:
  void SetUp() override;

  // Makes the fast path and opens t0 on it.
  void Use(Attachment::Via via);
  // Entered in both directions, and turned.
  std::unique_ptr<FastEntry> Enter(const encap::EncapConfig& config,
                                   uint32_t path_mtu = 1500);
  // Both directions have turned, without a look at the user path.
  void Turn();
  // Taken out of both, and waited for.
  void Leave(const encap::EncapConfig& config);
  static std::vector<FastInputKey> KeysOf(const encap::EncapConfig& config);
  void SetInputs(const encap::EncapConfig& config, const FastEntry* entry);
  FastRecord Record(const encap::EncapConfig& config, uint32_t path_mtu);

  // A packet that the host sends through t0, with SO_MARK.
  void SendInner(const Bytes& packet, uint32_t mark = 0);
  // The next IP packet that comes out at u1, without its link header; empty
  // when none comes in a while.
  Bytes ReceiveOuter();
  // An IP packet that comes in by u0.
  void SendOuter(const Bytes& packet);
  // The next packet that t0 hands to the host.
  Bytes ReceiveInner();

  std::unique_ptr<TunDevice> device_;
  std::unique_ptr<LinuxFastPath> path_;
  std::unique_ptr<FastTunnel> tunnel_;
  uint32_t tun_ = 0, under_ = 0;  // ifindex

 private:
  UniqueFd tun_socket_, wire_socket_;
  Bytes link_header_;  // from u1 to u0, without the type
};

}  // namespace tunnel

#endif  // TUNNEL_BPF_FAST_PATH_FOR_TEST_H_
