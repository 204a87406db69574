# SPDX-License-Identifier: Apache-2.0
# Compiler settings shared by every target: language level, warnings, sanitizers, ccache, linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(SHOAL_CCACHE ccache)
if(SHOAL_CCACHE)
  # What ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${SHOAL_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${SHOAL_CCACHE}")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  else()
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
  endif()
endif()
find_program(SHOAL_MOLD mold)
if(SHOAL_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-pthread>)  # of all, as gRPC's users have it: one precompiled header serves them

add_library(shoal_options INTERFACE)
target_include_directories(shoal_options INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
target_compile_options(shoal_options INTERFACE -Wall -Wextra -Werror -Wno-unused-parameter
  -ffp-contract=off)  # fused multiply-adds only where the source says so: results must not depend on the compiler's choice

# What CHECK prints on a user's machine names files of the sources, not folders of whoever built it.
target_compile_options(shoal_options INTERFACE
  $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=>)

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(shoal_options INTERFACE -Wthread-safety)  # what base/mutex.h says to it
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(shoal_options INTERFACE -Wno-restrict)  # false alarms on std::string, GCC bug 105651
endif()

if(SHOAL_SANITIZE)
  add_compile_options(-fsanitize=${SHOAL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SHOAL_SANITIZE})
  target_compile_definitions(shoal_options INTERFACE SHOAL_SANITIZED)  # long tests run a part of themselves
  if(SHOAL_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(SHOAL_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Asio's atomic_thread_fence; harmless at run time
  endif()
endif()
if(SHOAL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage for libFuzzer; its main comes with -fsanitize=fuzzer
endif()
