// SPDX-License-Identifier: Apache-2.0
// The files of the page (client/page/web), which the program carries in itself. Constants; their
// source is written by scripts/cmake/embed.cmake when one of them changes.
#pragma once

#include <span>
#include <string_view>

namespace shoal::client {

struct PageFile {
  std::string_view path;  // "/page/style.css"; "/" for index.html
  std::string_view type;  // "text/css; charset=utf-8"
  std::string_view etag;  // of its bytes, quoted
  std::string_view bytes;
};

std::span<const PageFile> page_files();

}  // namespace shoal::client
