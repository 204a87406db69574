# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=client/page/web -DOUTPUT=page_files.cc -P embed.cmake
# Writes the source of client/page/page_files.h: every file of the folder as an array of bytes.
file(GLOB names RELATIVE "${FOLDER}" "${FOLDER}/*")
list(SORT names)
set(types_html "text/html")
set(types_css "text/css")
set(types_js "text/javascript")
set(types_svg "image/svg+xml")
set(arrays)
set(entries)
set(index 0)
foreach(name ${names})
  file(READ "${FOLDER}/${name}" bytes HEX)
  file(SHA256 "${FOLDER}/${name}" hash)
  string(SUBSTRING "${hash}" 0 32 hash)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kBytes${index}[] = {\n${bytes}};\n")
  string(REGEX REPLACE ".*\\." "" extension "${name}")
  if(NOT types_${extension})
    message(FATAL_ERROR "${name}: embed.cmake knows no type for .${extension}")
  endif()
  set(path "/page/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  string(APPEND entries
    "    {\"${path}\", \"${types_${extension}}; charset=utf-8\", \"\\\"${hash}\\\"\", text(kBytes${index})},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by scripts/cmake/embed.cmake.
#include \"client/page/page_files.h\"

#include <cstddef>

namespace shoal::client {
namespace {

${arrays}
template <std::size_t N>
std::string_view text(const unsigned char (&bytes)[N]) {
  return {reinterpret_cast<const char*>(bytes), N};
}

}  // namespace

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${entries}  };
  return files;
}

}  // namespace shoal::client
")
file(COPY_FILE "${OUTPUT}.new" "${OUTPUT}" ONLY_IF_DIFFERENT)
file(REMOVE "${OUTPUT}.new")
