# frozen_string_literal: true

# Publishes one text in the three ways there are: plain, with an event name, durable.
#
#     REDIS_URL=redis://127.0.0.1:6379 ruby publish.rb CHANNEL TEXT

require 'redis'

# The data with the fields event, id and retry. Text that users wrote goes into one, lest it begins like one.
def envelope(data, **fields)
  lines = fields.map do |name, value|
    raise ArgumentError, "#{name} holds a line break or a NUL" if value.match?(/[\r\n\0]/)

    "#{name}: #{value}\n"
  end
  "\x1eSSE/1\n#{lines.join}\n#{data}"
end

# Keeps an event and publishes it. Returns its id, and how many gateways got it now.
def publish_durable(redis, channel, data, event = '')
  # The key of the channel's history, and not the channel: on a cluster that is needed.
  redis.call('FCALL', 'sse_publish', 1, "sse:{#{channel}}", data, event)
rescue Redis::CommandError => e
  raise unless e.message.include?('Function not found')

  raise 'Redis has no function sse_publish. Load it: sse-publish --install'
end

begin
  channel, text = ARGV
  # No second try by the client: an event whose answer was lost may have been published.
  redis = Redis.new(url: ENV.fetch('REDIS_URL', 'redis://127.0.0.1:6379'), timeout: 5, reconnect_attempts: 0)
  puts "plain: gateways #{redis.publish(channel, text)}"
  puts "named: gateways #{redis.publish(channel, envelope(text, event: 'order'))}"
  id, gateways = publish_durable(redis, channel, text, 'order')
  puts "durable: gateways #{gateways}, id #{id}"
rescue Redis::BaseError, RuntimeError, ArgumentError => e
  abort "publish: #{e.message}"
end
