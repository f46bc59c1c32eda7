# cmake --install: the two libraries, the public headers, the tools, a pkg-config file and a CMake package. The installed tree
# may be moved: all its paths are relative.
include(CMakePackageConfigHelpers)

install(TARGETS kapell-shared kapell-static EXPORT kapell
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET onnxruntime)
  install(TARGETS onnxruntime LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
foreach(tool kapell kapell-probe)
  if(TARGET ${tool})
    install(TARGETS ${tool} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(DIRECTORY include/kapell DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kapell)
configure_package_config_file(cmake/kapellConfig.cmake.in kapellConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(kapellConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT kapell NAMESPACE kapell:: FILE kapellTargets.cmake DESTINATION ${package_folder})
install(FILES ${CMAKE_BINARY_DIR}/kapellConfig.cmake ${CMAKE_BINARY_DIR}/kapellConfigVersion.cmake DESTINATION ${package_folder})

set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkgconfig_to_prefix /${pkgconfig_folder} /)
configure_file(cmake/kapell.pc.in kapell.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/kapell.pc DESTINATION ${pkgconfig_folder})
