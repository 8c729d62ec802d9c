"""The encoder behind one interface: CTranslate2's own, or one in OpenVINO that is built from the same weights."""
