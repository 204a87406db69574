// SPDX-License-Identifier: Apache-2.0
// A template as a tree, by the grammar of Jinja 3.1 with loop controls and generation blocks. Of
// what a chat template has no use for (blocks, inheritance, includes, imports, autoescape) the tags
// are refused by name. Throws TemplateError. Pure.
#pragma once

#include <string_view>

#include "model/chat/tree.h"

namespace shoal::model::chat {

// Valid UTF-8.
Tree parse_template(std::string_view source);

}  // namespace shoal::model::chat
