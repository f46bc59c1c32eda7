# Which flags a kernel source gets, from its name alone:
#   x_tmpl.c (under src/provider/cpu/kernel/)  compiled once per instruction set of KAPELL_TEMPLATE_ISAS, each time with
#                                              -DKP_ISA=<isa> -DKP_ISA_<ISA>=1 and that set's flags
#   x_<isa>.c                                  compiled with that set's flags, on that set's architecture only
# Every other file is built for the architecture's baseline (x86-64: SSE2).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(KAPELL_ARCH x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(KAPELL_ARCH aarch64)
else()
  set(KAPELL_ARCH portable)
endif()

set(avx2 -mavx2 -mfma -mf16c -mbmi2)
set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
if(KAPELL_EMULATE_AVX512)  # src/provider/cpu/simd/avx512_emulated.h: only template sources may be listed as avx512
  set(avx512 ${avx2})
  target_compile_definitions(kapell-flags INTERFACE KP_EMULATE_AVX512=1)
endif()
set(KAPELL_ISA_FLAGS_scalar "")
set(KAPELL_ISA_FLAGS_f16c -mf16c)
set(KAPELL_ISA_FLAGS_avx2 ${avx2})
set(KAPELL_ISA_FLAGS_avxvnni ${avx2} -mavxvnni)
set(KAPELL_ISA_FLAGS_avx512 ${avx512})
set(KAPELL_ISA_FLAGS_avx512_vnni ${avx512} -mavx512vnni)
set(KAPELL_ISA_FLAGS_avx512_bf16 ${avx512} -mavx512vnni -mavx512bf16)
set(KAPELL_ISA_FLAGS_neon "")  # in AArch64's baseline
set(KAPELL_ISA_FLAGS_neon_dotprod -march=armv8.2-a+dotprod)

set(KAPELL_ISAS_x86_64 f16c avx2 avxvnni avx512 avx512_vnni avx512_bf16)
set(KAPELL_ISAS_aarch64 neon neon_dotprod)
set(KAPELL_TEMPLATE_ISAS scalar)
set(KAPELL_FILE_ISAS "")
if(NOT KAPELL_SCALAR_ONLY)
  set(KAPELL_FILE_ISAS ${KAPELL_ISAS_${KAPELL_ARCH}})
  if(KAPELL_ARCH STREQUAL x86_64)
    list(APPEND KAPELL_TEMPLATE_ISAS avx2 avx512)
  elseif(KAPELL_ARCH STREQUAL aarch64)
    list(APPEND KAPELL_TEMPLATE_ISAS neon)
  endif()
endif()

# clang needs minutes for one kernel under UBSan and coverage together, and fuzzing is after the readers of bytes.
set(KAPELL_KERNEL_FLAGS "")
if(KAPELL_FUZZ)
  set(KAPELL_KERNEL_FLAGS -fno-sanitize=undefined,fuzzer-no-link)
endif()

# Takes the template sources and those of other architectures out of the list named |sources_var|, sets the flags of the
# remaining instruction-set sources, and puts the templates into the list named |templates_var|.
function(kapell_sort_kernels sources_var templates_var)
  set(templates ${${sources_var}})
  list(FILTER templates INCLUDE REGEX "/provider/cpu/kernel/.*_tmpl\\.c$")
  set(sources ${${sources_var}})
  list(FILTER sources EXCLUDE REGEX "/provider/cpu/kernel/.*_tmpl\\.c$")
  foreach(isa IN LISTS KAPELL_ISAS_x86_64 KAPELL_ISAS_aarch64)
    set(matched ${sources})
    list(FILTER matched INCLUDE REGEX "_${isa}\\.c$")
    if(NOT matched)
      continue()
    elseif(isa IN_LIST KAPELL_FILE_ISAS)
      set_source_files_properties(${matched} PROPERTIES COMPILE_OPTIONS "${KAPELL_ISA_FLAGS_${isa}};${KAPELL_KERNEL_FLAGS}")
    else()
      list(REMOVE_ITEM sources ${matched})
    endif()
  endforeach()
  set(${sources_var} ${sources} PARENT_SCOPE)
  set(${templates_var} ${templates} PARENT_SCOPE)
endfunction()

# Makes one object library per instruction set out of the template sources; |objects_var| receives their objects.
function(kapell_add_templates templates objects_var)
  set(objects "")
  foreach(isa IN LISTS KAPELL_TEMPLATE_ISAS)
    string(TOUPPER ${isa} upper)
    add_library(kapell-kernels-${isa} OBJECT ${templates})
    target_link_libraries(kapell-kernels-${isa} PRIVATE kapell-flags)
    target_include_directories(kapell-kernels-${isa} PRIVATE src include)
    target_compile_definitions(kapell-kernels-${isa} PRIVATE KP_ISA=${isa} KP_ISA_${upper}=1)
    target_compile_options(kapell-kernels-${isa} PRIVATE ${KAPELL_ISA_FLAGS_${isa}} ${KAPELL_KERNEL_FLAGS})
    list(APPEND objects $<TARGET_OBJECTS:kapell-kernels-${isa}>)
  endforeach()
  set(${objects_var} ${objects} PARENT_SCOPE)
endfunction()
