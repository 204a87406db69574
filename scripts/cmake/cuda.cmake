# SPDX-License-Identifier: Apache-2.0
# Finds nvcc where SHOAL_CUDA wants it, and says what it found; SHOAL_NVCC is set where libshoal_cuda.so is built. AUTO: with
# nvcc where there is a new enough one. ON: or fail. OFF: not. Programs are the same either way: they load it as they start.
set(SHOAL_CUDA_LEAST 13.0)  # what the kernels are compiled and tested with
set(SHOAL_NVCC FALSE)

function(shoal_no_cuda reason)
  set(way_out "scripts/setup --cuda says where it comes from")
  if(SHOAL_CUDA STREQUAL "AUTO")
    message(STATUS "Kernels for NVIDIA GPUs are not built: ${reason}; ${way_out}")
  else()
    message(FATAL_ERROR "SHOAL_CUDA is ${SHOAL_CUDA}, but ${reason}; ${way_out}")
  endif()
endfunction()

if(SHOAL_CUDA)
  if(SHOAL_SANITIZE)
    shoal_no_cuda("nvcc does not compile for sanitizers")
  else()
    find_program(SHOAL_NVCC_PROGRAM nvcc HINTS ENV CUDACXX ENV CUDA_PATH PATH_SUFFIXES bin
      PATHS /usr/local/cuda/bin /opt/cuda/bin)
    if(NOT SHOAL_NVCC_PROGRAM)
      shoal_no_cuda("there is no nvcc (CUDA ${SHOAL_CUDA_LEAST} or newer)")
    else()
      execute_process(COMMAND "${SHOAL_NVCC_PROGRAM}" --version OUTPUT_VARIABLE said ERROR_QUIET)
      string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" matched "${said}")
      set(version "${CMAKE_MATCH_1}")
      if(NOT matched OR version VERSION_LESS SHOAL_CUDA_LEAST)
        shoal_no_cuda("${SHOAL_NVCC_PROGRAM} is of CUDA ${version}, and ${SHOAL_CUDA_LEAST} or newer is needed")
      else()
        set(SHOAL_NVCC TRUE)
      endif()
    endif()
  endif()
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
