# SPDX-License-Identifier: Apache-2.0
# cmake --install build/release [--prefix DIR]: the programs, which are built already, with manual pages and completions that they
# write themselves, units for systemd (not enabled), documents and the bundled model. DESTDIR is honoured.
if(NOT TARGET shoal OR NOT TARGET shoal-node)
  return()
endif()
install(TARGETS shoal shoal-node RUNTIME DESTINATION bin)
install(FILES "${CMAKE_BINARY_DIR}/lib/libshoal_cuda.so" DESTINATION lib OPTIONAL)  # programs look for it beside bin/
install(FILES README.md LICENSE DESTINATION share/doc/shoal)
install(DIRECTORY docs/ DESTINATION share/doc/shoal/docs FILES_MATCHING PATTERN "*.md" PATTERN page EXCLUDE)
install(DIRECTORY models/demo DESTINATION share/shoal/models PATTERN "shoal-manifest.json" EXCLUDE)

install(CODE "set(source \"${CMAKE_SOURCE_DIR}\")\nset(made \"${CMAKE_BINARY_DIR}/installed\")
set(program_shoal \"$<TARGET_FILE:shoal>\")\nset(program_shoal-node \"$<TARGET_FILE:shoal-node>\")")
install(CODE [[
  function(made_by program file)
    get_filename_component(folder "${made}/${file}" DIRECTORY)
    file(MAKE_DIRECTORY "${folder}")
    execute_process(COMMAND "${program_${program}}" ${ARGN} OUTPUT_FILE "${made}/${file}" COMMAND_ERROR_IS_FATAL ANY)
  endfunction()
  file(REMOVE_RECURSE "${made}")
  foreach(program shoal shoal-node)
    made_by(${program} share/man/man1/${program}.1 --help-man)
    made_by(${program} share/bash-completion/completions/${program} --completion bash)
    made_by(${program} share/zsh/site-functions/_${program} --completion zsh)
    made_by(${program} share/fish/vendor_completions.d/${program}.fish --completion fish)
  endforeach()
  foreach(scope system user)
    file(READ "${source}/node/service/${scope}.service" unit)
    string(REPLACE "@PROGRAM@" "${CMAKE_INSTALL_PREFIX}/bin/shoal-node" unit "${unit}")
    file(WRITE "${made}/lib/systemd/${scope}/shoal-node.service" "${unit}")
  endforeach()
  file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}" TYPE DIRECTORY FILES "${made}/share" "${made}/lib")
]])
