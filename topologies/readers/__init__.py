"""Foreign formats: text in, Fabric out; `topoplan.topologies.formats` lists them."""
