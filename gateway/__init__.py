"""Envoy as the front door: render its configuration for every target, write it, and watch how Envoy takes it.

front_door_options.Options ─► envoy_files.render ─► {file name: text} ─► envoy_folder.install ─► Envoy's folder
                                   │                                           │
    listener, routes, clusters, bootstrap, cors_filter, request_guard      admin.Admin: is each file in use?
"""
