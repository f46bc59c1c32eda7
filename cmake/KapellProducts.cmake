# Checks of what users get: each public header alone as C and as C++, the library's promises, the installed tree.
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
endif()
file(GLOB public_headers CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}/include/kapell" include/kapell/*.h)
set(header_sources "")
foreach(header IN LISTS public_headers)
  configure_file(test/products/header.c.in header/${header}.c @ONLY)
  list(APPEND header_sources "${CMAKE_BINARY_DIR}/header/${header}.c")
  if(CMAKE_CXX_COMPILER)
    configure_file(test/products/header.c.in header/${header}.cc @ONLY)
    list(APPEND header_sources "${CMAKE_BINARY_DIR}/header/${header}.cc")
  endif()
endforeach()
if(header_sources)
  add_library(kapell-headers OBJECT ${header_sources})
  target_include_directories(kapell-headers PRIVATE include)
  target_compile_features(kapell-headers PRIVATE c_std_99 $<$<BOOL:${CMAKE_CXX_COMPILER}>:cxx_std_11>)
  set_target_properties(kapell-headers PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON CXX_STANDARD 11 CXX_EXTENSIONS OFF)
  target_compile_options(kapell-headers PRIVATE -Wall -Wextra -Wpedantic -Werror)
endif()

# Sanitizers and coverage bring libraries and symbols of their own, and what is cross-built is not for this machine.
file(GLOB api_sources CONFIGURE_DEPENDS src/api/*.c)
if(api_sources AND CMAKE_BUILD_TYPE STREQUAL Release AND NOT KAPELL_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  set(size_limit 4000000)  # 3 MB, and 1 MB more for all kernel variants
  add_test(NAME products/library
    COMMAND test/products/check_library.sh $<TARGET_FILE:kapell-shared> ${size_limit} include/kapell
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  add_test(NAME products/install
    COMMAND test/products/check_install.sh "${CMAKE_BINARY_DIR}" ${PROJECT_VERSION} "${CMAKE_C_COMPILER}"
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  add_test(NAME products/dropin
    COMMAND test/products/check_dropin.sh $<TARGET_FILE:onnxruntime> 4400000
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(products/library products/install products/dropin PROPERTIES LABELS products TIMEOUT 300)
endif()
