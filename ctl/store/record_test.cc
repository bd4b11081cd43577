#include "ctl/store/record.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "ctl/convert.h"
#include "ctl/store/samples_for_test.h"
#include "proto/tunnel/store/v1/store.pb.h"

namespace tunnel::ctl {
namespace {

constexpr char kKernel[] = "boot/namespace";

void ExpectSame(const StoredTunnel& a, const StoredTunnel& b) {
  EXPECT_EQ(a.config, b.config);
  EXPECT_EQ(a.ifindex, b.ifindex);
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.create_time, b.create_time);
  EXPECT_EQ(a.update_time, b.update_time);
  EXPECT_EQ(a.paused, b.paused);
  EXPECT_EQ(a.detached, b.detached);
}

// The sample has no field that a new field of the configuration could hide in.
TEST(RecordTest, TheSampleDiffersFromTheDefaultsInEveryField) {
  const v1::Tunnel full = SpecToProto(FullConfig("t0"));
  const google::protobuf::Reflection& reflection = *full.GetReflection();
  const google::protobuf::Descriptor& schema = *full.GetDescriptor();
  for (int i = 0; i < schema.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *schema.field(i);
    // Status; alternatives of a field that is set; what goes over IPv6 alone.
    if (field.number() >= 40 || field.name() == "key" ||
        field.name() == "ttl" || field.name() == "encap_limit") {
      continue;
    }
    const bool set = field.is_repeated()
                         ? reflection.FieldSize(full, &field) > 0
                         : reflection.HasField(full, &field);
    EXPECT_TRUE(set) << field.name() << " is missing in samples_for_test.h";
  }
  EXPECT_NE(FullConfig("t0").admin_up, EndpointConfig{}.admin_up);
}

TEST(RecordTest, TunnelsComeBackWithEveryField) {
  StoredTunnel six = FullTunnel("t3");
  six.config = SixConfig("t3");
  for (const StoredTunnel& tunnel :
       {FullTunnel("t0"), SimpleTunnel("t1", 0), SimpleTunnel("t2", 7), six}) {
    const auto back = TunnelFromBytes(TunnelToBytes(tunnel, kKernel), kKernel);
    ASSERT_TRUE(back.ok()) << back.status();
    ExpectSame(*back, tunnel);
  }
}

TEST(RecordTest, EachConfigurationStaysWhatItIs) {
  EndpointConfig config = SimpleTunnel("t", 1).config;
  const auto check = [&config] {
    StoredTunnel tunnel;
    tunnel.config = config;
    const auto back = TunnelFromBytes(TunnelToBytes(tunnel, kKernel), kKernel);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->config, config);
  };
  for (const encap::Mode mode : {encap::Mode::kGif, encap::Mode::kIpip,
                                 encap::Mode::kSit, encap::Mode::kGre}) {
    config.encap.mode = mode;
    if (!encap::IsGre(mode)) {
      config.encap.input_key = config.encap.output_key = std::nullopt;
    }
    check();
  }
  config.encap.input_key = 0;
  check();
  config.encap.output_key = 0;
  check();
  config.encap.input_key = std::nullopt;
  check();
  config.encap.ttl = 1;
  config.encap.tos = 0;
  config.encap.df = encap::DfPolicy::kOff;
  check();
}

TEST(RecordTest, AnIndexOfAnotherBootMeansNothing) {
  const auto tunnel =
      TunnelFromBytes(TunnelToBytes(FullTunnel("t0"), kKernel), "other");
  ASSERT_TRUE(tunnel.ok()) << tunnel.status();
  EXPECT_EQ(tunnel->ifindex, 0U);
  EXPECT_EQ(tunnel->generation, 5U);
  const StoredDevice device{"d0", 7, true};
  const auto same = DeviceFromBytes(DeviceToBytes(device, kKernel), kKernel);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->name, "d0");
  EXPECT_EQ(same->ifindex, 7U);
  EXPECT_TRUE(same->ethernet);
  EXPECT_EQ(DeviceFromBytes(DeviceToBytes(device, kKernel), "x")->ifindex, 0U);
}

TEST(RecordTest, RequestsComeBackWithEveryField) {
  const StoredRequest request = FullRequest("r1");
  const std::string bytes = RequestToBytes(request);
  const auto back = RequestFromBytes(bytes);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->id, request.id);
  EXPECT_EQ(back->fingerprint, request.fingerprint);
  ASSERT_EQ(back->result.changes.size(), 2U);
  EXPECT_EQ(back->result.changes[0].tunnel.config,
            request.result.changes[0].tunnel.config);
  EXPECT_EQ(back->result.changes[0].tunnel.revision, 99U);
  ASSERT_TRUE(back->result.pending.has_value());
  EXPECT_EQ(back->result.pending->tunnels, request.result.pending->tunnels);
  // Nothing was lost on the way there, nor on the way back.
  store::v1::StoredRequest message, again;
  ASSERT_TRUE(message.ParseFromString(bytes));
  ASSERT_TRUE(again.ParseFromString(RequestToBytes(*back)));
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(message, again))
      << message.DebugString() << again.DebugString();
  for (const google::protobuf::Message* part :
       {static_cast<google::protobuf::Message*>(&message),
        static_cast<google::protobuf::Message*>(message.mutable_changes(0)),
        static_cast<google::protobuf::Message*>(message.mutable_pending())}) {
    const google::protobuf::Descriptor& schema = *part->GetDescriptor();
    for (int i = 0; i < schema.field_count(); ++i) {
      const auto* field = schema.field(i);
      EXPECT_TRUE(field->is_repeated()
                      ? part->GetReflection()->FieldSize(*part, field) > 0
                      : part->GetReflection()->HasField(*part, field))
          << field->full_name() << " was not written";
    }
  }
}

TEST(RecordTest, PendingComesBackWithEveryField) {
  const StoredPending pending = FullPending();
  const auto back = PendingFromBytes(PendingToBytes(pending, kKernel), kKernel);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->id, pending.id);
  EXPECT_EQ(back->deadline, pending.deadline);
  EXPECT_EQ(back->created, pending.created);
  ASSERT_EQ(back->before.size(), 2U);
  ExpectSame(back->before[0], pending.before[0]);
  ExpectSame(back->before[1], pending.before[1]);
}

TEST(RecordTest, RefusesBytesThatAreNone) {
  EXPECT_TRUE(
      absl::IsDataLoss(TunnelFromBytes("\xff\xff\xff", kKernel).status()));
  EXPECT_TRUE(absl::IsDataLoss(RequestFromBytes("\xff\xff").status()));
  // Well formed, but no tunnel.
  EXPECT_EQ(TunnelFromBytes("", kKernel).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tunnel::ctl
