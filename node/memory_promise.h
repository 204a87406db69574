// SPDX-License-Identifier: Apache-2.0
// What memory there is for a span, and what this node keeps of it for itself: the nodes of one
// machine look one after the other, and each leaves what others have reserved (base/memory_ledger).
// One thread at a time. Owns the node's entry in the ledger, for as long as it lives.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "base/memory_ledger.h"
#include "base/memory_size.h"
#include "model/memory_needs.h"
#include "model/sizing.h"
#include "node/device/executors.h"

namespace shoal::node {

// Where a span can be.
struct SpanRoom {
  std::vector<base::MemoryBudget> devices;
  std::optional<base::MemoryBudget> host;  // of a node with GPUs, for what they do not keep
};

// What a span takes; of several GPUs, each its part. `gpus`: their ids; none: the CPU.
base::MemoryClaim claim_of(const model::MemoryNeeds& needs, const model::EndNeeds& ends,
                           const model::MemoryPlan& plan, std::span<const std::string> gpus);
base::MemoryClaim sum_of(const base::MemoryClaim& a, const base::MemoryClaim& b);
std::vector<std::string> gpu_ids(const ChosenDevices& devices);

class MemoryPromise {
 public:
  // `folder`: of the ledger; empty: nobody is asked and nobody told.
  explicit MemoryPromise(const std::string& folder);

  // Until the next keep() or let_go() no other node of this machine looks. `beside_own`: what there
  // is beside what this node keeps already.
  SpanRoom look(const ChosenDevices& devices, const std::optional<base::MemorySize>& most,
                bool beside_own);
  // In place of what was kept before.
  void keep(const base::MemoryClaim& claim);
  void let_go() { turn_.reset(); }
  // The devices count by now what they hold.
  void loaded();
  const base::MemoryClaim& kept() const { return kept_; }

 private:
  bool take_turn();
  void note(const std::string& text);  // once each

  std::unique_ptr<base::MemoryLedger> ledger_;
  std::optional<base::MemoryLedger::Turn> turn_;
  base::MemoryClaim kept_;
  std::set<std::string> noted_;
};

}  // namespace shoal::node
