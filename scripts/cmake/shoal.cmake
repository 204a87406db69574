# SPDX-License-Identifier: Apache-2.0
# shoal_library(NAME SRCS ... [DEPS ...] [PRIVATE_DEPS ...] [HOT])   one target per room
# shoal_program(NAME SRCS ... [DEPS ...])                      a binary in build/PRESET/bin/
# shoal_test(NAME SRCS ... [DEPS ...] [LABEL unit] [TIMEOUT 60] [ARGS ...] [PARTS NAME=FILTER ...] [ONE_THREAD] [HOT])
#   one ctest entry with GoogleTest's main. LABEL: unit (default), sim (release), e2e (many processes, release),
#   sanitize (end to end, and run under the address sanitizer too). TIMEOUT in seconds. ONE_THREAD: long, and
#   nothing for the thread sanitizer to see. PARTS: ctest entries of their own, each with a filter of GoogleTest's;
#   NAME runs what is left. One program of many files is built in half the time of many programs.
# shoal_test_bodies(NAME SRCS ... [DEPS ...] [HOT])            tests that several programs run, compiled once: those name
#   $<TARGET_OBJECTS:NAME> among their sources
# HOT: computes enough that compiling it with optimization pays: the other tests are compiled without, and so are the
#   other rooms but in `release`. In preset `dev` (SHOAL_QUICK) only what runs models is hot.
# shoal_protobuf(NAME PROTOS ... [GRPC])                       generated messages (and services)

# Line numbers take g++ a fifth of the time, clang a tenth.
set(SHOAL_TEST_OPTIONS -O0)
if(SHOAL_QUICK OR (CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"))
  list(APPEND SHOAL_TEST_OPTIONS -g0)
endif()

# Rooms that do not compute, where code takes longer to compile than to run.
set(SHOAL_COLD_OPTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(SHOAL_COLD_OPTIONS -O0)
endif()

function(shoal_room result)
  file(RELATIVE_PATH room "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(${result} "${room}" PARENT_SCOPE)
endfunction()

function(shoal_is_hot result hot)
  shoal_room(room)
  if(SHOAL_QUICK AND NOT room MATCHES "^(kernels|kernels/cuda|model|tests/kernels)$")
    set(hot OFF)
  endif()
  set(${result} ${hot} PARENT_SCOPE)
endfunction()

# Most of the time in which a small file compiles is its headers: files of one kind share them, compiled once. Each file
# still says what it includes: house_test reads that. Not in preset `lint`, whose sources are whole rooms.
# In preset `dev` (SHOAL_QUICK, clang) more is in them, and what they instantiate of templates is compiled there, once.
# shoal_headers(NAME HEADERS ... [DEPS ...])   precompiles them; shoal_use_room_headers(TARGET) gives them to a target of
# the rooms that speak gRPC and Asio, shoal_use_test_headers(TARGET) to one under tests/, with its options.
function(shoal_headers name)
  cmake_parse_arguments(A "" "" "HEADERS;DEPS" ${ARGN})
  file(WRITE "${CMAKE_BINARY_DIR}/${name}.cc" "")
  add_library(${name} OBJECT "${CMAKE_BINARY_DIR}/${name}.cc")
  target_link_libraries(${name} PRIVATE shoal_options absl::statusor ${A_DEPS})
  target_precompile_headers(${name} PRIVATE <algorithm> <atomic> <chrono> <condition_variable> <filesystem> <fstream>
    <functional> <map> <memory> <mutex> <optional> <random> <set> <string> <thread> <vector> <absl/status/statusor.h>
    ${A_HEADERS})
  if(SHOAL_QUICK)
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fmodules-codegen")
    set(object "${CMAKE_BINARY_DIR}/${name}.o")
    set(headers "${CMAKE_BINARY_DIR}/CMakeFiles/${name}.dir/cmake_pch.hxx.pch")
    add_custom_command(OUTPUT "${object}" DEPENDS "${headers}" VERBATIM
      COMMAND "${CMAKE_CXX_COMPILER}" -O0 -pthread -ffunction-sections -fdata-sections -c "${headers}" -o "${object}")
    set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    add_library(${name}_code STATIC "${object}")
    set_target_properties(${name}_code PROPERTIES LINKER_LANGUAGE CXX)
    add_dependencies(${name}_code ${name})
    target_link_libraries(${name}_code INTERFACE absl::statusor ${A_DEPS})
    # Most of it is called by nobody, some by inline functions whose library lacks what they call.
    target_link_options(${name}_code INTERFACE LINKER:--gc-sections)
  endif()
endfunction()

function(shoal_use_headers target name)
  if(TARGET ${name})
    target_precompile_headers(${target} REUSE_FROM ${name})
    target_link_libraries(${target} PRIVATE ${ARGN})  # their definitions must be those of the headers
    if(TARGET ${name}_code)
      target_link_libraries(${target} PRIVATE ${name}_code)
    endif()
  endif()
endfunction()

if(SHOAL_PCH)
  if(SHOAL_QUICK)
    set(folder "${CMAKE_SOURCE_DIR}/scripts/cmake")
    set(quick_core_headers <array> <deque> <future> <span> <fmt/format.h> "${folder}/common_instances.h")
    set(quick_core_libraries fmt::fmt nlohmann_json::nlohmann_json)
    set(quick_wire_headers <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
      <google/protobuf/message.h> "${CMAKE_BINARY_DIR}/proto/dht.pb.h")
    set(quick_wire_libraries shoal_wire absl::flat_hash_map absl::flat_hash_set)
    set(quick_room_headers <boost/asio/io_context.hpp> <boost/asio/post.hpp>
      <boost/asio/posix/stream_descriptor.hpp> <boost/asio/steady_timer.hpp> "${folder}/grpc_instances.h")
    set(quick_room_libraries spdlog::spdlog)
    set(quick_test_headers "${folder}/test_instances.h")
  endif()
  set(grpc_headers <grpcpp/grpcpp.h> <google/protobuf/message.h> "${CMAKE_BINARY_DIR}/proto/span_service.grpc.pb.h")
  shoal_headers(shoal_room_headers DEPS shoal_wire_grpc fmt::fmt absl::flat_hash_map absl::flat_hash_set
    ${quick_wire_libraries} ${quick_core_libraries} ${quick_room_libraries}
    HEADERS ${grpc_headers} <boost/asio/io_context.hpp> <boost/asio/posix/stream_descriptor.hpp>
    <boost/asio/steady_timer.hpp> <fmt/format.h> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
    ${quick_wire_headers} ${quick_core_headers} ${quick_room_headers})
  target_compile_options(shoal_room_headers PRIVATE ${SHOAL_COLD_OPTIONS})
  shoal_headers(shoal_core_headers DEPS shoal_wire absl::flat_hash_map absl::flat_hash_set ${quick_core_libraries}
    HEADERS <google/protobuf/message.h> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
    "${CMAKE_BINARY_DIR}/proto/dht.pb.h" ${quick_core_headers})
  if(SHOAL_QUICK)
    target_compile_options(shoal_core_headers PRIVATE ${SHOAL_COLD_OPTIONS})
  endif()
  if(BUILD_TESTING)
    set(test_headers <gtest/gtest.h> <gmock/gmock.h> <nlohmann/json.hpp>)
    shoal_headers(shoal_test_headers
      HEADERS ${test_headers} ${quick_wire_headers} ${quick_core_headers} ${quick_test_headers}
      DEPS GTest::gtest GTest::gmock nlohmann_json::nlohmann_json ${quick_wire_libraries} ${quick_core_libraries})
    shoal_headers(shoal_grpc_test_headers
      HEADERS ${test_headers} ${grpc_headers} ${quick_wire_headers} ${quick_core_headers} ${quick_room_headers}
      ${quick_test_headers}
      DEPS GTest::gtest GTest::gmock nlohmann_json::nlohmann_json shoal_wire_grpc ${quick_wire_libraries}
      ${quick_core_libraries} ${quick_room_libraries})
    foreach(name shoal_test_headers shoal_grpc_test_headers)
      target_compile_options(${name} PRIVATE ${SHOAL_TEST_OPTIONS})
      if(NOT SHOAL_QUICK)  # libraries of tests, which lack these, use them too
        target_compile_definitions(${name} PRIVATE SHOAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
          SHOAL_BINARY_DIR="${CMAKE_BINARY_DIR}")
      endif()
    endforeach()
  endif()
endif()

function(shoal_use_room_headers target)
  shoal_use_headers(${target} shoal_room_headers fmt::fmt ${quick_core_libraries} ${quick_room_libraries})
endfunction()

function(shoal_use_test_headers target)
  target_compile_options(${target} PRIVATE ${SHOAL_TEST_OPTIONS})
  shoal_room(room)
  set(libraries GTest::gtest GTest::gmock ${quick_core_libraries})
  if(room MATCHES "/(net|node|client|e2e|bench|attack)$")
    shoal_use_headers(${target} shoal_grpc_test_headers ${libraries} ${quick_room_libraries})
  else()
    shoal_use_headers(${target} shoal_test_headers ${libraries})
  endif()
endfunction()

function(shoal_library name)
  cmake_parse_arguments(A "HOT" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SRCS})
  shoal_room(room)
  shoal_is_hot(hot ${A_HOT})
  if(room MATCHES "^tests/" AND NOT hot)
    if(SHOAL_QUICK)
      shoal_use_test_headers(${name})
    else()
      target_compile_options(${name} PRIVATE -O0)
    endif()
  elseif(NOT hot)
    target_compile_options(${name} PRIVATE ${SHOAL_COLD_OPTIONS})
  endif()
  if(room MATCHES "^(dht|net|node|client)$" AND NOT A_HOT)
    shoal_use_room_headers(${name})
  elseif(room MATCHES "^(proto|identity|dht)$")
    shoal_use_headers(${name} shoal_core_headers ${quick_core_libraries})
  endif()
  target_link_libraries(${name} PUBLIC shoal_options ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS})
endfunction()

function(shoal_program name)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${A_SRCS})
  target_link_libraries(${name} PRIVATE shoal_options ${A_DEPS})
  shoal_room(room)
  if(room MATCHES "^(node|client)$")
    target_compile_options(${name} PRIVATE ${SHOAL_COLD_OPTIONS})
    shoal_use_room_headers(${name})
  elseif(SHOAL_QUICK)
    shoal_use_test_headers(${name})
  endif()
  add_dependencies(release_tests ${name})
endfunction()

# Umbrella targets, so that each build of scripts/test makes only what its tests need.
add_custom_target(quick_tests)     # and quick_ROOM: tests of one process, for scripts/test quick
add_custom_target(release_tests)   # programs, and ctest label "release": whole swarms, and what optimization may change
add_custom_target(dht_tests)       # ctest label "directory": tests of dht/ in themselves and in simulation
add_custom_target(thread_tests)    # rooms without gRPC that have threads: ctest label "threads", for the thread sanitizer
add_custom_target(sanitize_tests)  # ctest labels unit, sanitize: for the address sanitizer

function(shoal_test name)
  cmake_parse_arguments(A "ONE_THREAD;HOT" "LABEL;TIMEOUT" "SRCS;DEPS;ARGS;PARTS" ${ARGN})
  if(NOT A_LABEL)
    set(A_LABEL unit)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  if(SHOAL_SANITIZE OR CMAKE_CXX_FLAGS_DEBUG MATCHES "--coverage")
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 5")
  endif()
  add_executable(${name} ${A_SRCS})
  target_link_libraries(${name} PRIVATE shoal_options GTest::gtest GTest::gmock GTest::gtest_main ${A_DEPS})
  target_compile_definitions(${name} PRIVATE SHOAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    SHOAL_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set(entries ${name})
  set(others)
  foreach(part ${A_PARTS})
    string(REGEX MATCH "^([^=]+)=(.+)$" matched "${part}")
    add_test(NAME ${CMAKE_MATCH_1} COMMAND ${name} ${A_ARGS} "--gtest_filter=${CMAKE_MATCH_2}")
    list(APPEND entries ${CMAKE_MATCH_1})
    string(APPEND others ":${CMAKE_MATCH_2}")
  endforeach()
  if(others)
    list(APPEND A_ARGS "--gtest_filter=-${others}")
  endif()
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  get_filename_component(room "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  set(labels ${A_LABEL} ${room})
  if(A_LABEL STREQUAL unit)
    if(NOT TARGET quick_${room})
      add_custom_target(quick_${room})
      add_dependencies(quick_tests quick_${room})
    endif()
    add_dependencies(quick_${room} ${name})
  endif()
  shoal_is_hot(hot ${A_HOT})
  if(SHOAL_QUICK AND NOT hot)
    shoal_use_test_headers(${name})
  elseif(NOT A_HOT)
    target_compile_options(${name} PRIVATE ${SHOAL_TEST_OPTIONS})
  endif()
  if(SHOAL_PCH AND NOT SHOAL_QUICK AND NOT A_HOT)
    if(room MATCHES "^(net|node|client|e2e)$")
      target_precompile_headers(${name} REUSE_FROM shoal_grpc_test_headers)
    else()
      target_precompile_headers(${name} REUSE_FROM shoal_test_headers)
    endif()
  endif()
  if(room MATCHES "^(kernels|model|proto|dht|sim)$" AND A_LABEL STREQUAL unit AND NOT A_ONE_THREAD)
    list(APPEND labels threads)
    add_dependencies(thread_tests ${name})
  endif()
  if(room MATCHES "^(dht|sim)$")
    list(APPEND labels directory)
    add_dependencies(dht_tests ${name})
  endif()
  if(NOT A_LABEL STREQUAL unit OR room MATCHES "^(kernels|model)$")
    list(APPEND labels release)
    add_dependencies(release_tests ${name})
  endif()
  if(A_LABEL MATCHES "^(unit|sanitize)$")
    add_dependencies(sanitize_tests ${name})
  endif()
  # A model's folder that is not there might be a name: no test asks the hub on the Internet.
  set_tests_properties(${entries} PROPERTIES LABELS "${labels}" TIMEOUT ${A_TIMEOUT} ENVIRONMENT HF_HUB_OFFLINE=1)
  # A filter that names no test any more must not pass. What is left beside parts may be nothing.
  if(A_PARTS)
    list(REMOVE_ITEM entries ${name})
  endif()
  set_tests_properties(${entries} PROPERTIES FAIL_REGULAR_EXPRESSION "Running 0 tests")
  if(A_PARTS)
    list(APPEND entries ${name})
  endif()
  if(A_LABEL STREQUAL e2e)
    set(lock other)
    if(room STREQUAL e2e)
      set(lock e2e)
    endif()
    # Whole swarms of processes with deadlines come first, one of a room at a time.
    set_tests_properties(${entries} PROPERTIES RESOURCE_LOCK swarm_${lock} COST 100)
  endif()
endfunction()

function(shoal_test_bodies name)
  cmake_parse_arguments(A "HOT" "" "SRCS;DEPS" ${ARGN})
  add_library(${name} OBJECT ${A_SRCS})
  target_link_libraries(${name} PRIVATE shoal_options GTest::gtest GTest::gmock ${A_DEPS})
  target_compile_definitions(${name} PRIVATE SHOAL_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    SHOAL_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(SHOAL_QUICK AND NOT A_HOT)
    shoal_use_test_headers(${name})
  elseif(NOT A_HOT)
    target_compile_options(${name} PRIVATE ${SHOAL_TEST_OPTIONS})
    if(SHOAL_PCH)
      target_precompile_headers(${name} REUSE_FROM shoal_test_headers)
    endif()
  endif()
endfunction()

function(shoal_protobuf name)
  cmake_parse_arguments(A "GRPC" "" "PROTOS;DEPS" ${ARGN})
  set(sources)
  foreach(proto ${A_PROTOS})
    get_filename_component(stem ${proto} NAME_WE)
    file(RELATIVE_PATH room "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
    set(base "${CMAKE_BINARY_DIR}/${room}/${stem}")
    set(outputs ${base}.pb.cc ${base}.pb.h)
    set(flags --cpp_out=${CMAKE_BINARY_DIR})
    if(A_GRPC)
      list(APPEND outputs ${base}.grpc.pb.cc ${base}.grpc.pb.h)
      list(APPEND flags --grpc_out=${CMAKE_BINARY_DIR}
        --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
    endif()
    add_custom_command(OUTPUT ${outputs}
      COMMAND protobuf::protoc ${flags} -I ${CMAKE_SOURCE_DIR} ${room}/${proto}
      WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" DEPENDS ${proto} VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)  # protoc repeats its static names in every file
  if(SHOAL_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
  endif()
  target_include_directories(${name} PUBLIC "${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf ${A_DEPS})
  if(A_GRPC)
    target_link_libraries(${name} PUBLIC gRPC::grpc++)
  endif()
endfunction()
