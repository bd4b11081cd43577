// A daemon that answers each apply with one plan, and a file to apply.

#ifndef CTL_CLI_APPLY_FIXTURE_H_
#define CTL_CLI_APPLY_FIXTURE_H_

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/cli/calls_fixture.h"

namespace tunnel::ctl::cli {

inline constexpr char kTwoTunnels[] =
    "prune = true\n"
    "[[tunnel]]\nname = \"gre0\"\nmode = \"gre\"\nlocal = \"192.0.2.1\"\n"
    "remote = \"192.0.2.2\"\nkey = 0\n"
    "[[tunnel]]\nname = \"gif0\"\nmode = \"gif\"\nlocal = \"192.0.2.1\"\n"
    "remote = \"192.0.2.2\"\nttl = \"inherit\"\n";

// A change of each kind.
inline constexpr char kPlan[] = R"pb(
  changes {
    action: CREATED
    tunnel {
      name: "gre0"
      mode: GRE
      local: "192.0.2.1"
      remote: "192.0.2.2"
      key: 0
    }
    changes { field: "mode" old_value: "" new_value: "gre" }
    changes { field: "ttl" old_value: "" new_value: "9" }
  }
  changes {
    action: UPDATED
    tunnel { name: "gif0" }
    changes { field: "remote" old_value: "192.0.2.3" new_value: "192.0.2.2" }
    changes { field: "ttl" old_value: "64" new_value: "inherit" }
    timing {
      pause { nanos: 1000000 }
      resume { nanos: 200000 }
      packets_dropped: 3
    }
  }
  changes {
    action: DELETED
    tunnel { name: "old" mode: SIT local: "192.0.2.1" remote: "192.0.2.9" }
  })pb";

class ApplyTest : public CallsTest {
 protected:
  ApplyTest() { Write(kTwoTunnels); }

  void Write(const std::string& text) { std::ofstream(path_) << text; }

  void AnswerPlan(const std::string& more) {
    daemon_.on_apply = [this, more](auto&, const auto& request, auto* reply) {
      seen_.Set(request);
      EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
          absl::StrCat(kPlan, more), reply));
      reply->set_validated_only(request.options().validate_only());
      return grpc::Status::OK;
    };
  }

  const std::string path_ =
      absl::StrCat(getenv("TEST_TMPDIR"), "/", getpid(), ".toml");
  Seen<v1::ApplyConfigRequest> seen_;
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_APPLY_FIXTURE_H_
