-- ARGV: channel, message for it.
redis.call('UNLINK', places, lines, early)
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
