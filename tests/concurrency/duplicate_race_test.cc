// Many threads ask for one pair at once: exactly one gets it, and the others
// are told who. (The race between looking and taking that a review of gif(4)
// and gre(4) found in 2016.)

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/concurrency/lab.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

constexpr int kThreads = 32;
constexpr int kRounds = 10;

using Result = absl::StatusOr<ChangeResult>;

// Runs call(i) for each i in a thread of its own, all released at once.
std::vector<Result> AllAtOnce(const std::function<Result(int)>& call) {
  std::vector<Result> results(kThreads);
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      ready.fetch_add(1);
      while (!go.load()) std::this_thread::yield();
      results[i] = call(i);
    });
  }
  while (ready.load() != kThreads) std::this_thread::yield();
  go.store(true);
  for (std::thread& thread : threads) thread.join();
  return results;
}

std::string Name(int i) { return absl::StrCat("gre", i); }

// One OK; all others ENDPOINT_PAIR_IN_USE with the winner's name and the pair.
// Returns the winner.
std::optional<int> CheckOneWinner(const std::vector<Result>& results,
                                  const EndpointConfig& wanted) {
  std::optional<int> winner;
  for (int i = 0; i < kThreads; ++i) {
    if (!results[i].ok()) continue;
    EXPECT_FALSE(winner.has_value()) << "two winners: " << *winner << ", " << i;
    winner = i;
  }
  if (!winner) {
    ADD_FAILURE() << "nobody has won; first: " << results[0].status();
    return winner;
  }
  for (int i = 0; i < kThreads; ++i) {
    if (i == *winner) continue;
    const auto detail = GetErrorDetail(results[i].status());
    EXPECT_TRUE(detail.has_value()) << results[i].status();
    if (!detail) continue;
    EXPECT_EQ(detail->reason, Reason::kEndpointPairInUse);
    EXPECT_EQ(detail->metadata.at("tunnel"), Name(*winner));
    EXPECT_EQ(detail->metadata.at("local"), wanted.encap.local.ToString());
    EXPECT_EQ(detail->metadata.at("remote"), wanted.encap.remote.ToString());
    EXPECT_EQ(detail->metadata.at("key"),
              wanted.encap.input_key ? absl::StrCat(*wanted.encap.input_key)
                                     : "none");
  }
  return winner;
}

TEST(DuplicateRace, OneOfManyCreatesWins) {
  Lab lab(2);
  for (int round = 0; round < kRounds; ++round) {
    const std::optional<uint32_t> key =
        round % 2 == 0 ? std::nullopt : std::optional<uint32_t>(round);
    const auto results = AllAtOnce([&](int i) {
      return lab.manager->CreateTunnel({}, GreConfig(Name(i), 1, key), {});
    });
    const auto winner = CheckOneWinner(results, GreConfig("any", 1, key));
    ASSERT_TRUE(winner.has_value());
    const TunnelList list = lab.manager->List();
    ASSERT_EQ(list.tunnels.size(), 1u);
    EXPECT_EQ(list.tunnels[0].config.name, Name(*winner));
    EXPECT_EQ(lab.tun.names(), std::vector<std::string>{Name(*winner)});
    EXPECT_TRUE(lab.manager->DeleteTunnel({}, Name(*winner), {}).ok());
  }
}

TEST(DuplicateRace, OneOfManyUpdatesWins) {
  Lab lab(2);
  // Keys 100 to 131, all onto key 1.
  for (int i = 0; i < kThreads; ++i) {
    ASSERT_TRUE(
        lab.manager->CreateTunnel({}, GreConfig(Name(i), 1, 100 + i), {}).ok());
  }
  for (int round = 0; round < kRounds; ++round) {
    const auto results = AllAtOnce([&](int i) {
      return lab.manager->UpdateTunnel(
          {}, Name(i),
          [&](const EndpointConfig&) { return GreConfig(Name(i), 1, 1); }, {});
    });
    const auto winner = CheckOneWinner(results, GreConfig("any", 1, 1));
    ASSERT_TRUE(winner.has_value());
    for (const TunnelView& view : lab.manager->List().tunnels) {
      const int i = std::stoi(view.config.name.substr(3));
      EXPECT_EQ(view.config.encap.input_key, i == *winner ? 1u : 100u + i);
    }
    // Back to its own key, for the next round.
    const auto back = lab.manager->UpdateTunnel(
        {}, Name(*winner),
        [&](const EndpointConfig&) {
          return GreConfig(Name(*winner), 1, 100 + *winner);
        },
        {});
    ASSERT_TRUE(back.ok()) << back.status();
  }
}

// Creates and updates against each other.
TEST(DuplicateRace, CreatesAndUpdatesTogetherHaveOneWinner) {
  Lab lab(2);
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kThreads; i += 2) {
      ASSERT_TRUE(
          lab.manager->CreateTunnel({}, GreConfig(Name(i), 2, 100 + i), {})
              .ok());
    }
    const EndpointConfig wanted = GreConfig("any", 2, 5);
    const auto results = AllAtOnce([&](int i) -> Result {
      const EndpointConfig config = GreConfig(Name(i), 2, 5);
      if (i % 2 == 1) return lab.manager->CreateTunnel({}, config, {});
      return lab.manager->UpdateTunnel(
          {}, Name(i), [&](const EndpointConfig&) { return config; }, {});
    });
    CheckOneWinner(results, wanted);
    int holders = 0;
    for (const TunnelView& view : lab.manager->List().tunnels) {
      holders += view.config.encap.input_key == 5u;
      EXPECT_TRUE(lab.manager->DeleteTunnel({}, view.config.name, {}).ok());
    }
    EXPECT_EQ(holders, 1);
  }
}

// The same tunnel asked for by many: the name decides.
TEST(DuplicateRace, OneOfManyCreatesOfOneNameWins) {
  Lab lab(2);
  const auto results = AllAtOnce([&](int i) {
    return lab.manager->CreateTunnel({}, GreConfig("gre0", 1, i), {});
  });
  int won = 0;
  for (const Result& result : results) {
    if (result.ok()) {
      ++won;
    } else {
      EXPECT_EQ(GetReason(result.status()), Reason::kNameInUse);
    }
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lab.manager->List().tunnels.size(), 1u);
}

}  // namespace
}  // namespace tunnel
