"""Model bundles: the check of their layout, their golden inferences, and the registry that keeps them.

folder ─► layout.check_layout ─► Bundle ─► registry.Registry.register ─► Registered ─► probe_questions
              │
              └─► model_folder.check_model, for each model:
                      model_config, config_rules, scheduler_rules     config.pbtxt
                      version_folders, model_file, named_files        the files
                      onnx_graph, onnx_graph_rules, graph_comparison  the ONNX graph
                      golden_file                                     golden.json
"""
