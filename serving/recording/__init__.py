"""The recorder: writes a sample of the requests to Triton as files, from copies that the front door sends."""
