// SPDX-License-Identifier: Apache-2.0
// Cryptography of simulations: the real one, or a model of it with the same sizes, the same
// identities and the same random draws, but keyed non-cryptographic hashes in place of signatures,
// exchange and AEAD. A model datagram costs a hundredth; whatever is altered on the way still fails
// to open. The model hides nothing and resists nobody: hostile peers of a simulation attack the
// protocol, not the primitives. A program that links this gets identity::primitives() from here.
#pragma once

#include "identity/primitives.h"

namespace shoal::sim {

const identity::Primitives& model_primitives();
// With model key pairs, too, so that ids near a key are found a hundred times faster. Other ids
// than the real cryptography's.
const identity::Primitives& quick_primitives();

enum class Crypto { kSodium, kModel };
// Before the first identity is made; all threads see it.
void choose_crypto(Crypto crypto);
void choose_crypto(const identity::Primitives& table);  // any other; it outlives its use

}  // namespace shoal::sim
