<?php
// A worker with nothing but a Redis client: answers each frame with the same.
// apt-get install php-cli php-redis; php worker.php [localhost] [6379] [app]

[$host, $port, $queue] = [$argv[1] ?? 'localhost', (int) ($argv[2] ?? 6379), $argv[3] ?? 'app'];
$broker = new Redis();
$broker->connect($host, $port);
$broker->setOption(Redis::OPT_READ_TIMEOUT, -1);

// Says something to the client's session, and that the event was handled.
function reply(Redis $broker, array $event, array $message): void
{
    $message += ['channel' => $event['reply_channel'], 'lease' => $event['lease'], 'done' => $event['order']];
    $broker->publish($event['reply_topic'], json_encode($message));
}

// What happens to a client is an event: its connect, each frame, its end.
function handle(Redis $broker, array $event): void
{
    switch ($event['type']) {
        case 'websocket.connect':
            reply($broker, $event, ['type' => 'websocket.accept']);
            break;
        case 'websocket.receive':
            $content = isset($event['text']) ? ['text' => $event['text']] : ['bytes' => $event['bytes']];
            reply($broker, $event, ['type' => 'websocket.send'] + $content);
            break;
        case 'websocket.disconnect':
            echo "left {$event['session']} {$event['code']}\n";
            break;
    }
}

echo "reading $queue\n";
while (true) {
    [, $element] = $broker->blPop(["busgate:queue:$queue"], 0);
    $event = json_decode($element, true);
    if (($event['__expires'] ?? INF) > microtime(true) * 1000) {
        handle($broker, $event);
    }
}
