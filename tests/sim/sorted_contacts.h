// SPDX-License-Identifier: Apache-2.0
// Contacts in the order of their ids, for those who know everybody: ideal tables, and hostile peers
// that share their knowledge. Value class.
#pragma once

#include <span>
#include <vector>

#include "dht/contact.h"
#include "dht/key.h"

namespace shoal::sim {

class SortedContacts {
 public:
  SortedContacts() = default;
  explicit SortedContacts(std::vector<dht::Contact> contacts);

  // The contacts of `range` whose id has `bit` clear, and those that have it set; all of them must
  // agree in the bits before.
  static std::pair<std::span<const dht::Contact>, std::span<const dht::Contact>> split(
      std::span<const dht::Contact> range, std::size_t bit);
  std::vector<dht::Contact> closest(const dht::Key& target, std::size_t count) const;
  std::span<const dht::Contact> all() const { return contacts_; }

 private:
  std::vector<dht::Contact> contacts_;
};

bool bit_of(std::span<const std::uint8_t> id, std::size_t bit);

}  // namespace shoal::sim
