// SPDX-License-Identifier: Apache-2.0
// Published attacks on HTTP/2 and TLS servers, as a stranger with a self-made identity would run
// them. One thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "proto/endpoint.h"

namespace shoal::attack {

struct Attack {
  std::string name;
  std::string what;  // where it was published, or what it does
};
const std::vector<Attack>& attacks();

struct Plan {
  std::string name;
  proto::Endpoint from, to;
  int identity = 1;  // number of the first identity; more are made from it
  std::chrono::milliseconds time{2'000};
};

struct Outcome {
  bool hung_up = false;        // by the victim, before the time was over
  double after_ms = 0;         // and when
  std::uint64_t sent = 0;      // bytes until then
  bool refused_same = false;   // a new connection of the same identity afterwards
  bool refused_other = false;  // and of another one from the same address
};
Outcome run(const Plan& plan);

}  // namespace shoal::attack
