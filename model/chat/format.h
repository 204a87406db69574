// SPDX-License-Identifier: Apache-2.0
// Python's two ways to put values into a text: "..." % values and "...".format(values). Texts keep
// their marks. Conversions that templates have no use for fail by name.
#pragma once

#include "model/chat/value.h"

namespace shoal::model::chat {

class Interpreter;

Text percent_format(const Text& format, const Value& values, Budget& budget);
Text brace_format(Interpreter& interpreter, const Text& format, const Arguments& arguments);

}  // namespace shoal::model::chat
