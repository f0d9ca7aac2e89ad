"""The near cache against everything that can happen to messages and answers on their way."""
