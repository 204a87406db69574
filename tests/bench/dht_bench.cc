// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/dht_bench.h"

#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "dht/record_store.h"
#include "dht/udp_service.h"
#include "tests/bench/latency.h"
#include "tests/bench/udp_asker.h"
#include "tests/dht/example_record.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
using dht::UdpService;
using identity::Identity;

const proto::Endpoint kLoopback = proto::Endpoint::v4({127, 0, 0, 1}, 0);
// Enough that an answer is full of contacts.
constexpr int kNeighbours = 24;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double processor_s(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// An io_context that runs on one thread, whose processor time can be read.
class IoThread {
 public:
  IoThread() : work_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~IoThread() {
    work_.reset();
    io_.stop();
    thread_.join();
  }
  boost::asio::io_context& io() { return io_; }
  double cpu_s() {
    clockid_t clock;
    ::pthread_getcpuclockid(thread_.native_handle(), &clock);
    return bench::processor_s(clock);
  }
  template <typename F>
  auto run(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

class Member {
 public:
  static absl::StatusOr<std::unique_ptr<Member>> open(IoThread& thread) {
    auto member = std::unique_ptr<Member>(new Member(thread));
    dht::UdpServiceOptions options;
    options.listen = kLoopback;
    auto service = UdpService::open(thread.io(), member->identity_, options);
    if (!service.ok()) return service.status();
    member->service_ = *std::move(service);
    return member;
  }
  ~Member() {
    thread_.run([this] {
      service_.reset();
      return 0;
    });
  }
  void begin_join(const proto::Endpoint& at, std::function<void(absl::Status)> done) {
    thread_.run([&] {
      service_->bootstrap({at}, 10'000, std::move(done));
      return 0;
    });
  }
  absl::Status join(const proto::Endpoint& at) {
    std::promise<absl::Status> joined;
    begin_join(at, [&](absl::Status status) { joined.set_value(std::move(status)); });
    return joined.get_future().get();
  }
  dht::Contact contact() const {
    return {identity_.peer_id(), service_->local_endpoint(), identity_.public_key()};
  }
  dht::DhtStats stats() {
    return thread_.run([this] { return service_->stats(); });
  }

 private:
  explicit Member(IoThread& thread) : thread_(thread), identity_(Identity::generate()) {}

  IoThread& thread_;
  const Identity identity_;
  std::unique_ptr<UdpService> service_;
};

struct Answered {
  const char* name;
  bool find;
  UdpAsker::Way way;
  double wall_per_s = 0, core_per_s = 0, cpu_us = 0, answer_bytes = 0;
  std::uint64_t given_up = 0;
};

// One peer that knows many answers one asker; its thread's processor time is what counts, since
// the asker shares the machine.
absl::StatusOr<std::vector<Answered>> measure_answers(const DhtOptions& options) {
  IoThread served, others;
  auto server = Member::open(served);
  if (!server.ok()) return server.status();
  const dht::Contact contact = (*server)->contact();
  std::vector<std::unique_ptr<Member>> neighbours;
  for (int i = 0; i < kNeighbours; ++i) {
    auto member = Member::open(others);
    if (!member.ok()) return member.status();
    if (auto status = (*member)->join(contact.endpoint); !status.ok()) return status;
    neighbours.push_back(*std::move(member));
  }
  using Way = UdpAsker::Way;
  std::vector<Answered> rows = {
      {"Ping in a session", false, Way::kSession},
      {"Find in a session", true, Way::kSession},
      {"Ping as a question", false, Way::kQuestion},
      {"Find as a question", true, Way::kQuestion},
      {"Find of a stranger (X25519 for each)", true, Way::kStranger},
  };
  for (Answered& row : rows) {
    UdpAsker asker(contact, row.way);
    asker.run(row.find, 0.2, options.window);  // handshake, keys, caches
    const double cpu = served.cpu_s();
    const auto begin = Clock::now();
    const UdpAsker::Result result = asker.run(row.find, options.seconds, options.window);
    const double cpu_s = served.cpu_s() - cpu;
    const auto answers = static_cast<double>(result.answers);
    if (result.answers == 0)
      return absl::InternalError(fmt::format("nothing was answered: {}", row.name));
    row.wall_per_s = answers / seconds_since(begin);
    row.core_per_s = answers / cpu_s;
    row.cpu_us = 1e6 * cpu_s / answers;
    row.answer_bytes = static_cast<double>(result.answer_bytes) / answers;
    row.given_up = result.given_up;
  }
  return rows;
}

struct Floor {
  const char* name;
  double us = 0;
};

// One operation of each kind, on bytes like those of a Find and its answer.
std::vector<Floor> measure_floors() {
  const identity::Primitives& use = identity::primitives();
  identity::Random random = identity::Random::from_system();
  identity::Bytes32 key = random.bytes<32>(), shared{}, secret = random.bytes<32>();
  identity::AeadNonce nonce = random.bytes<24>();
  std::string text(1100, 'x');
  const auto time = [&](const char* name, int times, auto&& once) {
    once();
    const double begin = processor_s(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < times; ++i) once();
    return Floor{name, 1e6 * (processor_s(CLOCK_THREAD_CPUTIME_ID) - begin) / times};
  };
  const auto seal = [&](std::size_t bytes) {
    use.seal(key, nonce, {}, std::string_view(text).substr(0, bytes),
             reinterpret_cast<std::uint8_t*>(text.data()));
    ++nonce[0];
  };
  identity::Bytes32 public_key{};
  use.exchange_pair(secret, public_key);
  std::array<std::uint8_t, 16> out;
  return {
      time("AEAD of 100 bytes", 20'000, [&] { seal(100); }),
      time("AEAD of 400 bytes", 20'000, [&] { seal(400); }),
      time("AEAD of 1000 bytes", 20'000, [&] { seal(1000); }),
      time("keyed hash of a cookie", 20'000,
           [&] { use.mac(key, std::string_view(text).substr(0, 64), out); }),
      time("X25519", 500, [&] { use.exchange(secret, public_key, shared); }),
  };
}

struct Memory {
  int records = 0;
  double heap_mib_per_1000 = 0, resident_mib_per_1000 = 0;
};

double heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

double resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long all = 0, resident = 0;
  const bool read = file != nullptr && std::fscanf(file, "%lu %lu", &all, &resident) == 2;
  if (file != nullptr) std::fclose(file);
  return read ? static_cast<double>(resident) * 4096 : 0;
}

// Records of many models and blocks, as different peers store them.
Memory measure_records(int count) {
  dht::StoreConfig config;
  config.limit_networks = false;  // all come from one machine
  config.max_records = static_cast<std::size_t>(count);
  ::malloc_trim(0);
  const double heap = heap_bytes(), resident = resident_bytes();
  dht::RecordStore store(identity::SwarmId{}, config);
  identity::Random random(1);
  const dht::TimePoint now{dht::seconds(1000)};
  for (int i = 0; i < count; ++i) {
    const Identity owner = Identity::from_seed(random.bytes<32>());
    dht::Record record = dht::example_record(1, {static_cast<proto::BlockIndex>(i % 5), 8},
                                             static_cast<std::uint8_t>(i % 100));
    const dht::Contact sender{owner.peer_id(), kLoopback, owner.public_key()};
    const std::vector<dht::Key> keys = {dht::model_key({}, record.offer.model_digest)};
    if (!dht::is_accepted(store.put(dht::sign_record(owner, record), sender, keys,
                                    static_cast<std::uint32_t>(record.ttl_ms), now)))
      break;
  }
  const double thousands = static_cast<double>(store.size()) / 1000;
  return {static_cast<int>(store.size()), (heap_bytes() - heap) / thousands / (1 << 20),
          (resident_bytes() - resident) / thousands / (1 << 20)};
}

struct Join {
  int peers = 0;
  Latency us;
};

// All others join over the first at once; each join's time counts.
absl::StatusOr<Join> measure_join(int peers, int runs) {
  Join join{peers, {}};
  for (int run = 0; run < runs; ++run) {
    IoThread thread;
    std::vector<std::unique_ptr<Member>> members;
    const auto alone = Clock::now();
    for (int i = 0; i < peers; ++i) {
      auto member = Member::open(thread);
      if (!member.ok()) return member.status();
      members.push_back(*std::move(member));
    }
    if (peers == 1) join.us.samples_us.push_back(1e6 * seconds_since(alone));  // it is there
    std::vector<std::future<absl::StatusOr<double>>> joined;
    for (int i = 1; i < peers; ++i) {
      auto promise = std::make_shared<std::promise<absl::StatusOr<double>>>();
      joined.push_back(promise->get_future());
      members[static_cast<std::size_t>(i)]->begin_join(
          members[0]->contact().endpoint, [promise, begin = Clock::now()](absl::Status status) {
            if (status.ok()) {
              promise->set_value(1e6 * seconds_since(begin));
            } else {
              promise->set_value(std::move(status));
            }
          });
    }
    for (auto& each : joined) {
      auto us = each.get();
      if (!us.ok()) return us.status();
      join.us.samples_us.push_back(*us);
    }
  }
  return join;
}

std::string table(const std::vector<Answered>& answers, const std::vector<Floor>& floors,
                  const Memory& memory, const std::vector<Join>& joins) {
  std::string text =
      "| request | per second of the shell's core | us of it | per second of wall time | answer "
      "bytes |\n| --- | --- | --- | --- | --- |\n";
  for (const Answered& row : answers) {
    text += fmt::format("| {} | {:.0f} | {:.1f} | {:.0f} | {:.0f} |\n", row.name, row.core_per_s,
                        row.cpu_us, row.wall_per_s, row.answer_bytes);
  }
  text += "\n| floor | us |\n| --- | --- |\n";
  for (const Floor& floor : floors) text += fmt::format("| {} | {:.2f} |\n", floor.name, floor.us);
  text += fmt::format(
      "\n| known records | MiB of heap per 1,000 | MiB resident per 1,000 |\n| --- | --- | --- |\n"
      "| {} | {:.2f} | {:.2f} |\n",
      memory.records, memory.heap_mib_per_1000, memory.resident_mib_per_1000);
  text += "\n| peers | join p50 ms | join max ms |\n| --- | --- | --- |\n";
  for (const Join& join : joins) {
    text += fmt::format("| {} | {:.1f} | {:.1f} |\n", join.peers, join.us.p50() / 1e3,
                        join.us.percentile(1) / 1e3);
  }
  return text;
}

std::string json(const std::vector<Answered>& answers, const std::vector<Floor>& floors,
                 const Memory& memory, const std::vector<Join>& joins) {
  nlohmann::json result;
  for (const Answered& row : answers) {
    result["answers"].push_back({{"request", row.name},
                                 {"per_core_second", row.core_per_s},
                                 {"cpu_us", row.cpu_us},
                                 {"per_wall_second", row.wall_per_s},
                                 {"answer_bytes", row.answer_bytes},
                                 {"given_up", row.given_up}});
  }
  for (const Floor& floor : floors) result["floors_us"][floor.name] = floor.us;
  result["records"] = {{"count", memory.records},
                       {"heap_mib_per_1000", memory.heap_mib_per_1000},
                       {"resident_mib_per_1000", memory.resident_mib_per_1000}};
  for (const Join& join : joins) {
    result["joins"].push_back({{"peers", join.peers},
                               {"p50_ms", join.us.p50() / 1e3},
                               {"max_ms", join.us.percentile(1) / 1e3}});
  }
  return result.dump(2) + "\n";
}

}  // namespace

absl::Status run_dht(const DhtOptions& options) {
  const Memory memory = measure_records(options.records);  // first: nothing else is on the heap
  const std::vector<Floor> floors = measure_floors();
  auto answers = measure_answers(options);
  if (!answers.ok()) return answers.status();
  std::vector<Join> joins;
  for (const int peers : {1, 2, 3, 5, 20}) {
    auto join = measure_join(peers, options.joins);
    if (!join.ok()) return join.status();
    joins.push_back(*std::move(join));
  }
  fmt::print("{}", options.json ? json(*answers, floors, memory, joins)
                                : table(*answers, floors, memory, joins));
  return absl::OkStatus();
}

}  // namespace shoal::bench
