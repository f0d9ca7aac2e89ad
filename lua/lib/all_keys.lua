-- From here on a script takes all keys of a topic, whatever the topic is like.
if not KEYS[18] then
  return { TOPIC_KEYS_WANTED, 0 }
end
--- @include lib/topic
