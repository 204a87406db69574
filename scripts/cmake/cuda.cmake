# SPDX-License-Identifier: Apache-2.0
# Finds nvcc. SHOAL_NVCC: libshoal_cuda.so is built, as SHOAL_CUDA wants it: AUTO, where there is a new enough nvcc; ON, or fail;
# OFF, not. Programs are the same either way: they load it as they start. SHOAL_CUDA_HEADERS: where the runtime's headers are;
# a test needs no more.
set(SHOAL_CUDA_LEAST 13.0)  # what the kernels are compiled and tested with
set(SHOAL_NVCC FALSE)
set(SHOAL_CUDA_HEADERS FALSE)

find_program(SHOAL_NVCC_PROGRAM nvcc HINTS ENV CUDACXX ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda/bin /opt/cuda/bin)
set(why "there is no nvcc of CUDA ${SHOAL_CUDA_LEAST} or newer")
if(SHOAL_NVCC_PROGRAM)
  execute_process(COMMAND "${SHOAL_NVCC_PROGRAM}" --version OUTPUT_VARIABLE said ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" matched "${said}")
  set(version "${CMAKE_MATCH_1}")
  get_filename_component(folder "${SHOAL_NVCC_PROGRAM}" REALPATH)
  get_filename_component(folder "${folder}" DIRECTORY)
  find_path(SHOAL_CUDA_INCLUDE cuda_runtime_api.h HINTS "${folder}/../include" "${folder}/../targets/x86_64-linux/include"
    NO_DEFAULT_PATH)
  if(NOT matched OR version VERSION_LESS SHOAL_CUDA_LEAST)
    set(why "${SHOAL_NVCC_PROGRAM} is of CUDA ${version}, and ${SHOAL_CUDA_LEAST} or newer is needed")
  elseif(NOT SHOAL_CUDA_INCLUDE)
    set(why "${SHOAL_NVCC_PROGRAM} has no cuda_runtime_api.h beside it")
  elseif(SHOAL_SANITIZE)
    set(SHOAL_CUDA_HEADERS TRUE)
    set(why "nvcc does not compile for sanitizers")
  else()
    set(SHOAL_CUDA_HEADERS TRUE)
    set(why "")
  endif()
endif()

set(way_out "scripts/setup --cuda says where it comes from")
if(NOT SHOAL_CUDA)
elseif(NOT why)
  set(SHOAL_NVCC TRUE)
elseif(SHOAL_CUDA STREQUAL "AUTO")
  message(STATUS "Kernels for NVIDIA GPUs are not built: ${why} (${way_out})")
else()
  message(FATAL_ERROR "SHOAL_CUDA is ${SHOAL_CUDA}, but ${why}; ${way_out}")
endif()

if(SHOAL_NVCC)
  set(CMAKE_CUDA_COMPILER "${SHOAL_NVCC_PROGRAM}" CACHE FILEPATH "nvcc")
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 120-real 80-virtual)
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that this nvcc has C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  if(SHOAL_CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${SHOAL_CCACHE}")
  endif()
  message(STATUS "Kernels for NVIDIA GPUs: built with ${SHOAL_NVCC_PROGRAM}, CUDA ${version}")
endif()
