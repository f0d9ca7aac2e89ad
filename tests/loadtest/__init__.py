"""The programs that measure still measure: figures in the documentation are worth what can be had again."""
