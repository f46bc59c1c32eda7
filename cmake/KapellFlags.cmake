# The target kapell-flags carries what every C file of the project is compiled and linked with.
add_library(kapell-flags INTERFACE)
target_compile_features(kapell-flags INTERFACE c_std_17)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

target_compile_definitions(kapell-flags INTERFACE _GNU_SOURCE=1)
target_compile_options(kapell-flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wpointer-arith -Wundef
  -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wcast-qual
  # A guess of gcc's, and mostly a wrong one where outputs are set only on success; clang's analyzer (lint) and MSan know.
  $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # Float results must not depend on the compiler's taste: kernels that want a fused multiply-add write fma(). The two
  # -fno- flags give up errno and floating-point traps only; no value changes.
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  -ffunction-sections -fdata-sections -fno-omit-frame-pointer)
if(NOT KAPELL_COVERAGE)  # no path of the building machine in the products; the coverage report needs it
  target_compile_options(kapell-flags INTERFACE "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
endif()

# ccache, where it is installed, shares objects between presets' rebuilds and between clones: its base folder makes paths
# relative, and the second map brings those to the same form as above.
find_program(KAPELL_CCACHE ccache)
if(KAPELL_CCACHE AND NOT KAPELL_COVERAGE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  cmake_path(RELATIVE_PATH CMAKE_SOURCE_DIR BASE_DIRECTORY "${CMAKE_BINARY_DIR}" OUTPUT_VARIABLE source_from_build)
  target_compile_options(kapell-flags INTERFACE "-ffile-prefix-map=${source_from_build}/=")
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1 ${KAPELL_CCACHE})
endif()
if(KAPELL_WERROR)
  target_compile_options(kapell-flags INTERFACE -Werror)
endif()
if(KAPELL_SCALAR_ONLY)
  target_compile_definitions(kapell-flags INTERFACE KP_SCALAR_ONLY=1)
endif()
target_link_options(kapell-flags INTERFACE -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro,-z,now)
target_link_libraries(kapell-flags INTERFACE m Threads::Threads ${CMAKE_DL_LIBS})

if(KAPELL_SANITIZE)
  set(sanitize -fsanitize=${KAPELL_SANITIZE} -fno-sanitize-recover=all)
  if(KAPELL_SANITIZE STREQUAL memory)
    list(APPEND sanitize -fsanitize-memory-track-origins)
  endif()
  if(KAPELL_FUZZ)
    list(APPEND sanitize -fsanitize=fuzzer-no-link)
  endif()
  target_compile_options(kapell-flags INTERFACE ${sanitize})
  target_link_options(kapell-flags INTERFACE ${sanitize})
else()
  # A module (Python's extension) finds the names of the program that loads it only then.
  target_link_options(kapell-flags INTERFACE $<$<NOT:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>>:-Wl,-z,defs>)
endif()
if(KAPELL_COVERAGE)
  target_compile_options(kapell-flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(kapell-flags INTERFACE -fprofile-instr-generate)
endif()
