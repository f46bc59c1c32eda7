# The targets that the Python package is made of, from a build that is there already (KAPELL_PREBUILT): what packaging does can be
# tried in seconds.
foreach(row "kapell-shared|SHARED|lib/libkapell.so.0" "onnxruntime|SHARED|lib/libonnxruntime.so.1"
        "kapell|PROGRAM|bin/kapell" "kapell-probe|PROGRAM|bin/kapell-probe")
  string(REPLACE "|" ";" row "${row}")
  list(POP_FRONT row target kind file)
  if(NOT EXISTS "${KAPELL_PREBUILT}/${file}")
    message(FATAL_ERROR "KAPELL_PREBUILT: ${KAPELL_PREBUILT} has no ${file}")
  elseif(kind STREQUAL PROGRAM)
    add_executable(${target} IMPORTED GLOBAL)
  else()
    add_library(${target} SHARED IMPORTED GLOBAL)
  endif()
  file(REAL_PATH "${KAPELL_PREBUILT}/${file}" location)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${location}")
endforeach()
target_include_directories(kapell-shared INTERFACE include)
add_library(kapell::SHARED ALIAS kapell-shared)
