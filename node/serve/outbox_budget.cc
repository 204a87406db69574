// SPDX-License-Identifier: Apache-2.0
#include "node/serve/outbox_budget.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::node {

OutboxBudget::Account::~Account() {
  const base::MutexLock lock(budget_.mutex_);
  budget_.take(*this, bytes_);
  const auto owner = budget_.owners_.find(owner_);
  if (owner == budget_.owners_.end()) return;
  owner->second.accounts.erase(this);
  if (owner->second.accounts.empty()) budget_.owners_.erase(owner);
}

void OutboxBudget::Account::set_outlet(std::weak_ptr<Outlet> outlet) {
  const base::MutexLock lock(budget_.mutex_);
  outlet_ = std::move(outlet);
}

std::shared_ptr<Outlet> OutboxBudget::Account::add(std::size_t bytes) {
  const base::MutexLock lock(budget_.mutex_);
  budget_.count(*this, bytes);
  if (ending_) return nullptr;
  Account* const victim = budget_.too_much(*this);
  if (victim == nullptr) return nullptr;
  victim->ending_ = true;
  budget_.owners_.at(victim->owner_).bytes -= victim->bytes_;
  budget_.lasting_ -= victim->bytes_;
  ++budget_.ended_;
  return victim->outlet_.lock();
}

void OutboxBudget::Account::add_unjudged(std::size_t bytes) {
  const base::MutexLock lock(budget_.mutex_);
  budget_.count(*this, bytes);
}

void OutboxBudget::Account::release(std::size_t bytes) {
  const base::MutexLock lock(budget_.mutex_);
  budget_.take(*this, bytes);
}

std::size_t OutboxBudget::Account::bytes() const {
  const base::MutexLock lock(budget_.mutex_);
  return bytes_;
}

void OutboxBudget::count(Account& account, std::size_t bytes) {
  Owner& owner = owners_[account.owner_];
  owner.accounts.insert(&account);
  account.bytes_ += bytes;
  bytes_ += bytes;
  if (account.ending_) return;
  owner.bytes += bytes;
  lasting_ += bytes;
}

void OutboxBudget::take(Account& account, std::size_t bytes) {
  CHECK(bytes <= account.bytes_) << bytes << " of " << account.bytes_ << " bytes";
  if (bytes == 0) return;
  account.bytes_ -= bytes;
  bytes_ -= bytes;
  if (account.ending_) return;
  owners_.at(account.owner_).bytes -= bytes;
  lasting_ -= bytes;
}

OutboxBudget::Account* OutboxBudget::largest(const Owner& owner) {
  Account* result = nullptr;
  for (Account* account : owner.accounts) {
    if (account->ending_ || account->outlet_.expired()) continue;
    if (result == nullptr || account->bytes_ > result->bytes_) result = account;
  }
  return result;
}

OutboxBudget::Account* OutboxBudget::too_much(Account& account) {
  if (account.bytes_ > limits_.stream) return &account;
  Owner& owner = owners_.at(account.owner_);
  if (owner.bytes > limits_.owner) return largest(owner);
  if (lasting_ <= limits_.total) return nullptr;
  const auto most = std::max_element(
      owners_.begin(), owners_.end(),
      [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
  return largest(most->second);
}

OutboxStats OutboxBudget::stats() const {
  const base::MutexLock lock(mutex_);
  return {.bytes = bytes_, .limit = limits_.total, .ended = ended_};
}

}  // namespace shoal::node
