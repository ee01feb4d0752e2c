"""`make new`: write a stack's file, a bundle, golden inferences and an entry script for a model.

MODEL ─► sources.find ─► Found ─► draft.draft ─► Draft ─► writing.new: checked as a whole, then put into place
                                    │
                                    ├─ goldens        golden.json, by ONNX Runtime on this machine
                                    ├─ scripts        score.py and score.golden.json, where Triton serves
                                    ├─ pickles        the same, where the script loads a pickle
                                    └─ values         the settings, which stack_text writes as the stack's file
"""
