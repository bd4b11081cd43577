// tunnelctl as a process: every error gives its text, its JSON and its exit
// code.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "ctl/cli/errors.h"
#include "ctl/cli/fake_daemon.h"
#include "ctl/cli/subprocess.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

using ::testing::HasSubstr;

struct ReasonCase {
  grpc::StatusCode code;
  const char* reason;
  int exit_code;
};

// The table of the API's contract, row by row.
constexpr ReasonCase kReasons[] = {
    {grpc::INVALID_ARGUMENT, "FIELD_INVALID", 2},
    {grpc::INVALID_ARGUMENT, "FAMILY_MISMATCH", 2},
    {grpc::INVALID_ARGUMENT, "UNKNOWN_MODE", 2},
    {grpc::ALREADY_EXISTS, "NAME_IN_USE", 4},
    {grpc::ALREADY_EXISTS, "ENDPOINT_PAIR_IN_USE", 4},
    {grpc::ABORTED, "ETAG_MISMATCH", 4},
    {grpc::ABORTED, "CONFIG_LOCK_BUSY", 75},
    {grpc::ABORTED, "CONFIG_LOCK_INTERRUPTED", 75},
    {grpc::UNAVAILABLE, "SHUTTING_DOWN", 69},
    {grpc::NOT_FOUND, "TUNNEL_NOT_FOUND", 3},
    {grpc::PERMISSION_DENIED, "READ_ONLY_CLIENT", 77},
    {grpc::FAILED_PRECONDITION, "TUN_UNAVAILABLE", 1},
    {grpc::FAILED_PRECONDITION, "MISSING_CAPABILITY", 1},
    {grpc::FAILED_PRECONDITION, "KERNEL_FEATURE_MISSING", 1},
    {grpc::RESOURCE_EXHAUSTED, "TUNNEL_LIMIT", 1},
    {grpc::RESOURCE_EXHAUSTED, "FD_LIMIT", 1},
    {grpc::OUT_OF_RANGE, "REVISION_EXPIRED", 75},
};

google::protobuf::Struct ParseJson(const std::string& json) {
  google::protobuf::Struct object;
  const auto status =
      google::protobuf::util::JsonStringToMessage(json, &object);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  return object;
}

std::string Text(const google::protobuf::Struct& object,
                 const std::string& key) {
  const auto found = object.fields().find(key);
  return found == object.fields().end() ? "(absent)"
                                        : found->second.string_value();
}

class ErrorsTest : public ::testing::Test {
 protected:
  ProcessResult Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"--target", daemon_.target()});
    return RunProcess(args);
  }
  void AnswerSet(grpc::Status status) {
    daemon_.on_update = [status](auto&, const auto&, auto*) { return status; };
  }

  FakeDaemon daemon_;
};

TEST(ErrorsTable, EachReasonOfTheContractHasItsExitCode) {
  for (const ReasonCase& row : kReasons) {
    FakeDaemon daemon;
    daemon.on_update = [&row](auto&, const auto&, auto*) {
      return ErrorStatus(row.code, "what is wrong", row.reason,
                         {{"tunnel", "gre7"}});
    };
    const ProcessResult text =
        RunProcess({"--target", daemon.target(), "set", "a", "key", "1"});
    EXPECT_EQ(text.exit_code, row.exit_code) << row.reason;
    EXPECT_EQ(text.out, "") << row.reason;
    EXPECT_THAT(text.err, HasSubstr("tunnelctl: what is wrong\n  "))
        << row.reason;

    const ProcessResult json = RunProcess(
        {"--target", daemon.target(), "set", "a", "key", "1", "--json"});
    EXPECT_EQ(json.exit_code, row.exit_code) << row.reason;
    EXPECT_EQ(json.out, "") << row.reason;
    const google::protobuf::Struct object = ParseJson(json.err);
    EXPECT_EQ(Text(object, "code"), CodeName(row.code));
    EXPECT_EQ(Text(object, "reason"), row.reason);
    EXPECT_EQ(Text(object, "message"), "what is wrong");
    EXPECT_EQ(Text(object.fields().at("metadata").struct_value(), "tunnel"),
              "gre7");
  }
}

TEST_F(ErrorsTest, AllBadFieldsAreListed) {
  AnswerSet(ErrorStatus(grpc::INVALID_ARGUMENT, "2 fields are invalid",
                        "FIELD_INVALID", {},
                        {{"ttl", "must be 1 to 255, got 300"},
                         {"mtu", "must be 68 to 65535, got 1"}}));
  const ProcessResult text = Run({"set", "a", "ttl", "300", "mtu", "1"});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_THAT(text.err, HasSubstr("tunnelctl: 2 fields are invalid\n"
                                  "  ttl: must be 1 to 255, got 300\n"
                                  "  mtu: must be 68 to 65535, got 1\n"));
  const ProcessResult json = Run({"-j", "set", "a", "ttl", "300", "mtu", "1"});
  const auto object = ParseJson(json.err);
  const auto& list = object.fields().at("field_violations").list_value();
  ASSERT_EQ(list.values_size(), 2);
  EXPECT_EQ(Text(list.values(1).struct_value(), "field"), "mtu");
}

TEST_F(ErrorsTest, AConflictNamesTheOtherTunnel) {
  AnswerSet(ErrorStatus(grpc::ALREADY_EXISTS, "pair in use by gre7",
                        "ENDPOINT_PAIR_IN_USE", {{"tunnel", "gre7"}}));
  const ProcessResult text = Run({"set", "a", "remote", "192.0.2.9"});
  EXPECT_EQ(text.exit_code, 4);
  EXPECT_THAT(text.err, HasSubstr("'tunnelctl show gre7'"));
}

TEST_F(ErrorsTest, StatusWithoutDetailsGoesByItsCode) {
  const struct {
    grpc::StatusCode code;
    int exit_code;
  } cases[] = {{grpc::UNKNOWN, 1},          {grpc::INTERNAL, 1},
               {grpc::UNIMPLEMENTED, 1},    {grpc::NOT_FOUND, 3},
               {grpc::CANCELLED, 75},       {grpc::PERMISSION_DENIED, 77},
               {grpc::UNAUTHENTICATED, 77}, {grpc::UNAVAILABLE, 69}};
  for (const auto& row : cases) {
    FakeDaemon daemon;
    daemon.on_stats = [&row](auto&, const auto&, auto*) {
      return grpc::Status(row.code, "bare");
    };
    const ProcessResult result =
        RunProcess({"--target", daemon.target(), "stats"});
    EXPECT_EQ(result.exit_code, row.exit_code) << row.code;
    EXPECT_THAT(result.err, HasSubstr("bare")) << row.code;
  }
}

TEST_F(ErrorsTest, UsageErrorsAreJsonToo) {
  const ProcessResult result =
      RunProcess({"create", "a", "modus", "gre", "--json"});
  EXPECT_EQ(result.exit_code, 2);
  const auto object = ParseJson(result.err);
  EXPECT_EQ(Text(object, "code"), "INVALID_ARGUMENT");
  EXPECT_EQ(Text(object, "reason"), "USAGE");
  EXPECT_THAT(Text(object, "message"), HasSubstr("did you mean 'mode'?"));
}

TEST(Unreachable, NamesTheTargetAndExits69) {
  const ProcessResult missing =
      RunProcess({"show", "--target", "unix:/nonexistent/socket"});
  EXPECT_EQ(missing.exit_code, 69);
  EXPECT_EQ(missing.out, "");
  EXPECT_THAT(missing.err, HasSubstr("unix:/nonexistent/socket: No such file"));
  EXPECT_THAT(missing.err, HasSubstr("start tunneld"));

  const ProcessResult refused = RunProcess({"show", "--target", "127.0.0.1:1"});
  EXPECT_EQ(refused.exit_code, 69);
  EXPECT_THAT(refused.err, HasSubstr("127.0.0.1:1: Connection refused"));

  const ProcessResult json = RunProcess(
      {"create", "a", "--json", "--target", "unix:/nonexistent/socket"});
  EXPECT_EQ(json.exit_code, 69);
  EXPECT_EQ(Text(ParseJson(json.err), "reason"), "DAEMON_UNREACHABLE");
}

TEST(Unreachable, ADaemonThatDoesNotAnswerIsGivenUp) {
  char directory[] = "/tmp/tunnelctl_test.XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/socket";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(
      bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  ASSERT_EQ(listen(listener, 5), 0);
  const ProcessResult silent =
      RunProcess({"show", "--target", "unix:" + path, "--wait", "200ms"});
  EXPECT_EQ(silent.exit_code, 69);
  EXPECT_THAT(silent.err, HasSubstr("does not answer"));
  close(listener);
  const ProcessResult stale = RunProcess({"show", "--target", "unix:" + path});
  EXPECT_EQ(stale.exit_code, 69);
  EXPECT_THAT(stale.err, HasSubstr("nobody listens"));
  unlink(path.c_str());
  rmdir(directory);
}

TEST_F(ErrorsTest, FullDiskIsAnError) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const std::string program =
      std::string(getenv("TEST_SRCDIR")) + "/tunneld/ctl/cli/tunnelctl";
  const int status =
      system((program + " help > /dev/full 2>/dev/null").c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
}  // namespace tunnel::ctl::cli
