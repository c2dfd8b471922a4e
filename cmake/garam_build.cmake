# How the rooms under src/ become one library, one command and one test program a *_test.c.
# A room needs no list of files: every .c in it is part of the library, but for *_test.c
# (a cmocka program each), *_bench.c, *_fuzz.c (libFuzzer targets) and the command's room, cli.

macro(garam_find_dependencies)
  find_package(PkgConfig REQUIRED)
  find_package(OpenMP REQUIRED COMPONENTS C)
  pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
  pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
  pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.73)
  pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
  pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
  pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
  add_library(garam_dependencies INTERFACE)
  target_link_libraries(garam_dependencies INTERFACE OpenMP::OpenMP_C PkgConfig::JANSSON
    PkgConfig::SQLITE PkgConfig::MICROHTTPD PkgConfig::ZLIB PkgConfig::ZSTD PkgConfig::NETTLE m)
  if(GARAM_ONEDNN)
    find_library(DNNL_LIBRARY NAMES dnnl REQUIRED)
    find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.h REQUIRED)
    target_link_libraries(garam_dependencies INTERFACE ${DNNL_LIBRARY})
    target_include_directories(garam_dependencies SYSTEM INTERFACE ${DNNL_INCLUDE})
    target_compile_definitions(garam_dependencies INTERFACE GARAM_HAVE_ONEDNN=1)
  endif()

  add_library(garam_settings INTERFACE)
  target_compile_features(garam_settings INTERFACE c_std_11)
  target_compile_definitions(garam_settings INTERFACE _GNU_SOURCE)
  target_include_directories(garam_settings INTERFACE ${PROJECT_SOURCE_DIR}/include
    ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(garam_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wvla -Wformat=2
    -Wundef -Wwrite-strings -fno-math-errno -fno-trapping-math -ffp-contract=off)
  # -ffp-contract=off: the same sums whatever the compiler; kernels say fma where they mean it.
  if(GARAM_WERROR)
    target_compile_options(garam_settings INTERFACE -Werror)
  endif()
  if(GARAM_SANITIZE)
    target_compile_options(garam_settings INTERFACE -fsanitize=${GARAM_SANITIZE}
      -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(garam_settings INTERFACE -fsanitize=${GARAM_SANITIZE})
  endif()
endmacro()

function(garam_add_library)
  set(sources)
  foreach(room ${GARAM_ROOMS})
    if(NOT room STREQUAL "cli")
      file(GLOB_RECURSE files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.c)
      list(FILTER files EXCLUDE REGEX "_(test|bench|fuzz)\\.c$")
      list(APPEND sources ${files})
    endif()
  endforeach()
  add_library(garam_objects OBJECT ${sources})
  set_target_properties(garam_objects PROPERTIES C_VISIBILITY_PRESET hidden
    POSITION_INDEPENDENT_CODE ON C_STANDARD 11 C_EXTENSIONS OFF)
  target_link_libraries(garam_objects PUBLIC garam_settings garam_dependencies)
  garam_isa_flags(${sources})

  # The command and the tests link the inner names; hosts get the shared library.
  add_library(garam_inner STATIC $<TARGET_OBJECTS:garam_objects>)
  target_link_libraries(garam_inner PUBLIC garam_settings garam_dependencies)

  add_library(garam_shared SHARED $<TARGET_OBJECTS:garam_objects>)
  target_link_libraries(garam_shared PRIVATE garam_settings garam_dependencies)
  target_include_directories(garam_shared INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(garam_shared PROPERTIES OUTPUT_NAME garam VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} EXPORT_NAME garam)
  add_library(garam::garam ALIAS garam_shared)
endfunction()

# Kernels for one instruction set stand in a folder of its name and are compiled for it.
function(garam_isa_flags)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    return()
  endif()
  foreach(source ${ARGN})
    if(source MATCHES "/kernel/avx2/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
    elseif(source MATCHES "/kernel/avx512/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx2;-mfma;-mprefer-vector-width=512")
    elseif(source MATCHES "/kernel/avx512(fp16|bf16)/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx512${CMAKE_MATCH_1};-mavx2;-mfma;-mprefer-vector-width=512")
    endif()
  endforeach()
endfunction()

function(garam_add_command)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.c)
  list(FILTER files EXCLUDE REGEX "_(test|bench|fuzz)\\.c$")
  if(files)
    add_executable(garam_command ${files})
    target_link_libraries(garam_command PRIVATE garam_inner)
    set_target_properties(garam_command PROPERTIES OUTPUT_NAME garam C_STANDARD 11 C_EXTENSIONS OFF)
  endif()
endfunction()

function(garam_add_tests)
  find_library(CMOCKA_LIBRARY cmocka REQUIRED)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*_test.c
    ${PROJECT_SOURCE_DIR}/tests/*_test.c)
  foreach(test ${tests})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${test})
    string(REGEX REPLACE "^src/|\\.c$" "" name ${name})
    string(REPLACE "/" "." target ${name})
    add_executable(${target} ${test})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} PRIVATE garam_inner ${CMOCKA_LIBRARY})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests
      C_STANDARD 11 C_EXTENSIONS OFF)
    add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${target} PROPERTIES TIMEOUT 600 ENVIRONMENT
      "GARAM_COMMAND=${PROJECT_BINARY_DIR}/garam;GARAM_SOURCE=${PROJECT_SOURCE_DIR};OMP_WAIT_POLICY=passive")
  endforeach()
endfunction()

# Programs that the comparisons with peers ask (tests/peers/*_test.py).
function(garam_add_probes)
  file(GLOB probes CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/peers/*_probe.c)
  foreach(probe ${probes})
    get_filename_component(name ${probe} NAME_WE)
    add_executable(probe.${name} ${probe})
    target_link_libraries(probe.${name} PRIVATE garam_inner)
    set_target_properties(probe.${name} PROPERTIES OUTPUT_NAME ${name} C_STANDARD 11
      C_EXTENSIONS OFF RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  endforeach()
endfunction()

# Examples stand on the public headers and the shared library alone, as a host's program does.
function(garam_add_examples)
  file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
  foreach(example ${examples})
    get_filename_component(name ${example} NAME_WE)
    add_executable(example.${name} ${example})
    target_compile_definitions(example.${name} PRIVATE _GNU_SOURCE)
    target_compile_options(example.${name} PRIVATE -Wall -Wextra -Wpedantic -Werror)
    target_link_libraries(example.${name} PRIVATE garam::garam)
    if(GARAM_SANITIZE)
      target_link_options(example.${name} PRIVATE -fsanitize=${GARAM_SANITIZE})
    endif()
    set_target_properties(example.${name} PROPERTIES OUTPUT_NAME ${name} C_STANDARD 11
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  endforeach()
endfunction()

# libFuzzer targets: clang only, with the library's sources instrumented.
function(garam_add_fuzzers)
  file(GLOB_RECURSE fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*_fuzz.c)
  target_compile_options(garam_settings INTERFACE -fsanitize=fuzzer-no-link)
  foreach(fuzzer ${fuzzers})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/src ${fuzzer})
    string(REGEX REPLACE "\\.c$" "" name ${name})
    string(REPLACE "/" "." target ${name})
    add_executable(${target} ${fuzzer})
    target_link_libraries(${target} PRIVATE garam_inner)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  endforeach()
endfunction()

# The command, the shared library, the public headers, find_package(garam) and garam.pc. Both
# name their folders relative to themselves, so the whole tree may be moved.
function(garam_install)
  if(TARGET garam_command)
    install(TARGETS garam_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
  install(TARGETS garam_shared EXPORT garam LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/garam DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/garam)
  install(EXPORT garam NAMESPACE garam:: FILE garam-targets.cmake DESTINATION ${folder})
  configure_package_config_file(cmake/garam-config.cmake.in
    ${PROJECT_BINARY_DIR}/garam-config.cmake INSTALL_DESTINATION ${folder})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/garam-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/garam-config.cmake
    ${PROJECT_BINARY_DIR}/garam-config-version.cmake DESTINATION ${folder})
  file(RELATIVE_PATH GARAM_PC_UP /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" GARAM_PC_UP "${GARAM_PC_UP}")
  configure_file(cmake/garam.pc.in ${PROJECT_BINARY_DIR}/garam.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/garam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
