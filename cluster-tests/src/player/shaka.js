// Asks for licenses at each of the URLs in turn.
async function start(manifest, licenseUrls) {
  const player = new shaka.Player();
  await player.attach(video);
  player.addEventListener('error', (event) => failed(event.detail));
  player.configure({
    drm: {
      servers: { 'org.w3.clearkey': licenseUrls[0] },
      parseInbandPsshEnabled: true,
      retryParameters: { maxAttempts: 2 * licenseUrls.length, baseDelay: 100, timeout: 15000 },
    },
    // Little is fetched ahead, so that keys are asked for while the film plays.
    streaming: { bufferingGoal: 3, rebufferingGoal: 1 },
  });
  const { LICENSE } = shaka.net.NetworkingEngine.RequestType;
  const net = player.getNetworkingEngine();
  net.registerRequestFilter((type, request) => {
    if (type === LICENSE) request.uris = licenseUrls;
  });
  net.registerResponseFilter((type, response) => {
    if (type === LICENSE) seen.licensed_by.push(new URL(response.uri).host);
  });
  await player.load(manifest);
  await video.play();
}
